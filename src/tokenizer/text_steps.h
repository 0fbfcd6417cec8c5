// What a tokenizer does to text around its model, as plain data: the same steps whether a GGUF
// file names them or a tokenizer.json describes them. Semantics are those of Hugging Face
// tokenizers; the readers reduce its components to these.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace prefold {

// What a step looks for. Characters are taken one by one.
struct TextPattern {
  enum class Kind {
    kString,       // text, where it stands
    kRegex,        // text in Oniguruma's Ruby syntax (tokenizer/oniguruma.h)
    kNumeric,      // a character of category N
    kPunctuation,  // an ASCII symbol or a character of category P
    kWhitespace,   // a character with the property White_Space
    kWords,        // a run of word characters, or of what is neither word nor white space
  };
  Kind kind = Kind::kString;
  std::string text;
  bool operator==(const TextPattern&) const = default;
};

struct NormalizerStep {
  enum class Kind {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStripAccents,  // marks (category M) vanish
    kStrip,         // white space at the ends selected by left and right
    kReplace,       // each match of pattern becomes content
    kPrepend,       // content comes first, unless there is no text
    kCharsmap,      // content is a sentencepiece precompiled_charsmap
    kByteAlphabet,  // each byte becomes its character of the byte alphabet
  };
  Kind kind = Kind::kNfc;
  TextPattern pattern;
  std::string content;
  bool left = false;
  bool right = false;
};

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct PreTokenizerStep {
  enum class Kind {
    kSplit,         // pieces at the matches of pattern (at what lies between if inverted)
    kReplace,       // each occurrence of the string pattern becomes content
    kPrepend,       // content comes first in each piece that does not begin with it
    kPrependFirst,  // ... only in the piece at the very beginning of the text
    kByteAlphabet,  // each byte becomes its character of the byte alphabet
  };
  Kind kind = Kind::kSplit;
  TextPattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;
  std::string content;
};

// Tokens become text in this order: each token's spelling is edited; if byte_fallback, runs of
// tokens named as "<0x0A>" become the text of these bytes; further edits; the texts are joined; and
// the ends of the whole are stripped.
struct DecoderSpec {
  struct Edit {
    enum class Kind {
      kReplace,  // each match of pattern becomes content
      kStrip,    // up to `start` and `stop` characters equal to pattern go at the ends
      kSpaces,   // pattern becomes a space, in the first token nothing if drops_first
    };
    Kind kind = Kind::kReplace;
    TextPattern pattern;
    std::string content;
    uint32_t start = 0;
    uint32_t stop = 0;
    bool drops_first = false;
  };
  enum class Join {
    kText,    // one after the other
    kSpaced,  // with spaces between
    kBytes,   // spellings in the byte alphabet: their bytes, each broken character as U+FFFD
  };

  std::vector<Edit> edits;
  bool byte_fallback = false;
  std::vector<Edit> edits_after_fallback;
  Join join = Join::kText;
  std::vector<Edit> strips;  // of the whole: kStrip
};

// A token that is found in the text before all else.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // only where no word character is next to it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;
  bool normalized = false;  // both it and the text are normalised first
  bool special = false;     // matched only where special tokens are wanted; not part of plain text
  bool in_model = true;     // the model can produce it from text too
};

struct TextSteps {
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  DecoderSpec decoder;
};

}  // namespace prefold
