// Text to token ids and back. Ids equal those of Hugging Face tokenizers for the same vocabulary
// and text steps. Thread safe: encode and decode may run on several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/text_steps.h"

namespace prefold {

enum class TokenKind : uint8_t { kNormal, kUnknown, kControl, kUserDefined, kUnused, kByte };

enum class TokenizerModel {
  kBpe,               // pairs merge in the order of `merges`
  kSentencePieceBpe,  // pairs merge in the order of the scores of what they become
  kUnigram,           // the pieces of the highest sum of scores (arXiv 1804.10959)
};

// All that a model's files say of its tokenizer; where it came from does not matter: GGUF metadata
// (model/gguf_tokenizer.h) and Hugging Face files (tokenizer/hf_tokenizer.h) give the same thing.
struct TokenizerSpec {
  TokenizerModel model = TokenizerModel::kBpe;

  // GGUF names a pre-tokenizer instead of describing it: "llama-bpe". Where there is a name (which
  // makes it byte-level BPE) and for SentencePiece's BPE, the Tokenizer fills in itself what the
  // name, add_space_prefix and the kinds imply: steps, added_tokens, ignore_merges, byte_fallback.
  std::string pre;
  bool add_space_prefix = true;  // SentencePiece's BPE

  // As stored: in the byte alphabet where the text is, with U+2581 for spaces in SentencePiece's.
  // An id without a token is "" and kUnused.
  std::vector<std::string> tokens;
  // As many as tokens. Control and unknown tokens are left out of text by skip_special.
  std::vector<TokenKind> kinds;
  std::vector<std::pair<std::string, std::string>> merges;  // BPE, best first
  std::vector<double> scores;  // SentencePiece, Unigram: as many as tokens
  bool byte_fallback = false;  // a character without a token is its byte tokens, <0x00> to <0xFF>
  bool ignore_merges = false;  // BPE: a word that is a token is that token, whatever the merges say
  bool fuse_unknown = false;   // BPE: neighbouring unknown characters are one unknown token
  std::vector<AddedToken> added_tokens;
  TextSteps steps;
  std::vector<int32_t> prefix_ids;  // what add_special puts before the text: BOS as a rule
  std::vector<int32_t> suffix_ids;

  std::optional<int32_t> bos_id;
  std::optional<int32_t> eos_id;
  std::optional<int32_t> eot_id;  // end of turn, a further stop token
  std::optional<int32_t> unknown_id;
  std::optional<int32_t> pad_id;
};

class Tokenizer {
 public:
  // Throws FormatError naming what is wrong: an unknown pre-tokenizer (with the known ones), ids
  // out of range, a merge of unknown tokens, too few kinds or scores, a pattern that is not
  // supported, tokens that are not UTF-8 or longer than 1,024 bytes. Of tokens spelled alike,
  // encode gives the last.
  explicit Tokenizer(TokenizerSpec spec);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // add_special: prefix_ids and suffix_ids around it. parse_special: text such as "<|im_end|>" that
  // spells a special token becomes that token (chat templates); other added tokens always do. Where
  // several fit, the leftmost and of those the longest is taken.
  // Throws RequestError: "invalid_utf8", "prompt_too_long" (over 1 GiB of text), "tokenizer_limit"
  // (a pattern of the tokenizer that takes far too many steps on this text).
  std::vector<int32_t> encode(std::string_view text, bool add_special, bool parse_special) const;

  // The bytes of a token in running text: control and unknown tokens give theirs only if `special`,
  // else "".
  // Ids must be in range. The space that encoding put before the text is not removed here.
  std::string_view piece(int32_t id, bool special) const;

  // The text of ids (which must be in range), without the space that encoding put before it.
  // Bytes that are no UTF-8 become U+FFFD as in Hugging Face tokenizers: in byte-level BPE one for
  // each broken character; elsewhere one for each byte of a run of byte tokens that is not UTF-8 as
  // a whole. (transformers' clean_up_tokenization_spaces is not applied.)
  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const;

  int32_t vocab_size() const;
  TokenKind kind(int32_t id) const;
  // With everything filled in.
  const TokenizerSpec& spec() const;

 private:
  friend class StreamDecoder;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Vocabulary;

// Turns a stream of tokens into text that never ends inside a UTF-8 character: the concatenation of
// everything returned equals Tokenizer::decode of all ids. A run of byte tokens comes out when it
// has ended. The tokenizer outlives the decoder.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);

  // The text that this token completes; may be empty.
  std::string push(int32_t id);
  // What is left at the end: U+FFFD for each broken character as decode gives, or empty.
  std::string finish();

 private:
  // What a strip of the whole has still to do.
  struct Strip {
    uint32_t start;
    std::string held;  // characters at the end that may have to go
  };

  std::string next_item(std::string text);
  std::string end_of_run();
  std::string strip(std::string text);

  const Vocabulary* vocabulary_;
  bool skip_special_;
  bool is_first_ = true;
  std::string pending_;  // bytes of an unfinished character or run of byte tokens
  std::vector<Strip> strips_;
};

}  // namespace prefold
