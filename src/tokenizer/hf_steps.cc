// Normalizers and pre-tokenizers of tokenizer.json as text steps.
#include "base/error.h"
#include "tokenizer/base64.h"
#include "tokenizer/char_class.h"
#include "tokenizer/hf_components.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

constexpr size_t kMaxDepth = 8;  // of a Sequence in a Sequence

// The whitespace of Rust's regular expressions and this class's \s are the same.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

TextPattern read_pattern(const JsonValue& json) {
  json.allow_only({"String", "Regex"});
  TextPattern pattern;
  if (const auto text = json.find("String")) {
    pattern.text = text->string();
    if (pattern.text.empty()) text->refuse("a string that is not empty");
  } else {
    pattern.kind = TextPattern::Kind::kRegex;
    pattern.text = json.member("Regex").string();
  }
  if (json.json().size() != 1) json.refuse("either a String or a Regex");
  return pattern;
}

SplitBehavior read_behavior(const JsonValue& json) {
  const std::string& name = json.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  json.refuse("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

PreTokenizerStep split_at(TextPattern::Kind kind, SplitBehavior behavior) {
  PreTokenizerStep step;
  step.pattern.kind = kind;
  step.behavior = behavior;
  return step;
}

void read_byte_level(const JsonValue& json, std::vector<PreTokenizerStep>& steps) {
  json.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (json.boolean_or("add_prefix_space", true)) {
    PreTokenizerStep& prepend = steps.emplace_back();
    prepend.kind = PreTokenizerStep::Kind::kPrepend;
    prepend.content = std::string(" ");
  }
  if (json.boolean_or("use_regex", true)) {
    PreTokenizerStep& split = steps.emplace_back();
    split.pattern = {TextPattern::Kind::kRegex, std::string(kGpt2Pattern)};
  }
  steps.emplace_back().kind = PreTokenizerStep::Kind::kByteAlphabet;
}

void read_split(const JsonValue& json, std::vector<PreTokenizerStep>& steps) {
  json.allow_only({"type", "pattern", "behavior", "invert"});
  PreTokenizerStep& step = steps.emplace_back();
  step.pattern = read_pattern(json.member("pattern"));
  step.behavior = read_behavior(json.member("behavior"));
  step.invert = json.boolean_or("invert", false);
}

std::string read_character(const JsonValue& json) {
  const std::string& text = json.string();
  if (text.empty() || next_utf8(text).n_bytes != text.size()) json.refuse("one character");
  return text;
}

void read_metaspace(const JsonValue& json, std::vector<PreTokenizerStep>& steps) {
  json.allow_only(
      {"type", "replacement", "str_rep", "prepend_scheme", "split", "add_prefix_space"});
  const std::string replacement = read_character(json.member("replacement"));
  const MetaspacePrepend prepend = read_prepend_scheme(json);

  PreTokenizerStep& replace = steps.emplace_back();
  replace.kind = PreTokenizerStep::Kind::kReplace;
  replace.pattern.text = std::string(" ");
  replace.content = replacement;
  if (prepend != MetaspacePrepend::kNever) {
    PreTokenizerStep& step = steps.emplace_back();
    step.kind = prepend == MetaspacePrepend::kFirst ? PreTokenizerStep::Kind::kPrependFirst
                                                    : PreTokenizerStep::Kind::kPrepend;
    step.content = replacement;
  }
  if (json.boolean_or("split", true)) {
    PreTokenizerStep& split = steps.emplace_back();
    split.pattern.text = replacement;
    split.behavior = SplitBehavior::kMergedWithNext;
  }
}

void read_pre_tokenizer(const JsonValue& json, size_t depth, std::vector<PreTokenizerStep>& steps) {
  const JsonValue type = json.member("type");
  const std::string& name = type.string();
  using Kind = TextPattern::Kind;
  if (name == "Sequence") {
    json.allow_only({"type", "pretokenizers"});
    if (depth == kMaxDepth) json.fail(fmt::format("is nested more than {} deep", kMaxDepth));
    const JsonValue parts = json.member("pretokenizers");
    for (size_t i = 0; i < parts.array_size(); ++i) {
      read_pre_tokenizer(parts.element(i), depth + 1, steps);
    }
  } else if (name == "ByteLevel") {
    read_byte_level(json, steps);
  } else if (name == "Split") {
    read_split(json, steps);
  } else if (name == "Metaspace") {
    read_metaspace(json, steps);
  } else if (name == "Digits") {
    json.allow_only({"type", "individual_digits"});
    steps.push_back(split_at(Kind::kNumeric, json.boolean_or("individual_digits", false)
                                                 ? SplitBehavior::kIsolated
                                                 : SplitBehavior::kContiguous));
  } else if (name == "Punctuation") {
    json.allow_only({"type", "behavior"});
    const auto behavior = json.find("behavior");
    steps.push_back(split_at(Kind::kPunctuation,
                             behavior ? read_behavior(*behavior) : SplitBehavior::kIsolated));
  } else if (name == "Whitespace") {
    json.allow_only({"type"});
    steps.push_back(split_at(Kind::kWords, SplitBehavior::kRemoved));
    steps.back().invert = true;
  } else if (name == "WhitespaceSplit") {
    json.allow_only({"type"});
    steps.push_back(split_at(Kind::kWhitespace, SplitBehavior::kRemoved));
  } else if (name == "CharDelimiterSplit") {
    json.allow_only({"type", "delimiter"});
    steps.push_back(split_at(Kind::kString, SplitBehavior::kRemoved));
    steps.back().pattern.text = read_character(json.member("delimiter"));
  } else {
    type.refuse(
        "a pre-tokenizer that is supported: ByteLevel, Split, Metaspace, Digits, Punctuation, "
        "Whitespace, WhitespaceSplit, CharDelimiterSplit or Sequence");
  }
}

void read_normalizer(const JsonValue& json, size_t depth, std::vector<NormalizerStep>& steps) {
  const JsonValue type = json.member("type");
  const std::string& name = type.string();
  using Kind = NormalizerStep::Kind;
  const auto add = [&](Kind kind) -> NormalizerStep& {
    NormalizerStep& step = steps.emplace_back();
    step.kind = kind;
    return step;
  };
  const auto add_plain = [&](Kind kind) {
    json.allow_only({"type"});
    add(kind);
  };
  if (name == "Sequence") {
    json.allow_only({"type", "normalizers"});
    if (depth == kMaxDepth) json.fail(fmt::format("is nested more than {} deep", kMaxDepth));
    const JsonValue parts = json.member("normalizers");
    for (size_t i = 0; i < parts.array_size(); ++i) {
      read_normalizer(parts.element(i), depth + 1, steps);
    }
  } else if (name == "NFC") {
    add_plain(Kind::kNfc);
  } else if (name == "NFD") {
    add_plain(Kind::kNfd);
  } else if (name == "NFKC") {
    add_plain(Kind::kNfkc);
  } else if (name == "NFKD") {
    add_plain(Kind::kNfkd);
  } else if (name == "Lowercase") {
    add_plain(Kind::kLowercase);
  } else if (name == "StripAccents") {
    add_plain(Kind::kStripAccents);
  } else if (name == "ByteLevel") {
    add_plain(Kind::kByteAlphabet);
  } else if (name == "Strip") {
    json.allow_only({"type", "strip_left", "strip_right"});
    NormalizerStep& step = add(Kind::kStrip);
    step.left = json.member("strip_left").boolean();
    step.right = json.member("strip_right").boolean();
  } else if (name == "Replace") {
    json.allow_only({"type", "pattern", "content"});
    NormalizerStep& step = add(Kind::kReplace);
    step.pattern = read_pattern(json.member("pattern"));
    step.content = json.member("content").string();
  } else if (name == "Prepend") {
    json.allow_only({"type", "prepend"});
    add(Kind::kPrepend).content = json.member("prepend").string();
  } else if (name == "Precompiled") {
    json.allow_only({"type", "precompiled_charsmap"});
    const JsonValue charsmap = json.member("precompiled_charsmap");
    const auto bytes = decode_base64(charsmap.string());
    if (!bytes) charsmap.refuse("base64");
    add(Kind::kCharsmap).content = *bytes;
  } else {
    type.refuse(
        "a normalizer that is supported: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, "
        "Replace, Prepend, Precompiled, ByteLevel or Sequence");
  }
}

}  // namespace

MetaspacePrepend read_prepend_scheme(const JsonValue& json) {
  MetaspacePrepend prepend = MetaspacePrepend::kAlways;
  const auto scheme = json.find("prepend_scheme");
  if (scheme) {
    const std::string& name = scheme->string();
    if (name == "never") {
      prepend = MetaspacePrepend::kNever;
    } else if (name == "first") {
      prepend = MetaspacePrepend::kFirst;
    } else if (name != "always") {
      scheme->refuse("always, first or never");
    }
  }
  // The older way to say it.
  const auto add = json.find("add_prefix_space");
  if (add && !add->boolean()) {
    if (scheme && prepend != MetaspacePrepend::kNever) add->refuse("what prepend_scheme says");
    return MetaspacePrepend::kNever;
  }
  return prepend;
}

void read_hf_normalizer(const JsonValue& json, std::vector<NormalizerStep>& steps) {
  read_normalizer(json, 0, steps);
}

void read_hf_pre_tokenizer(const JsonValue& json, std::vector<PreTokenizerStep>& steps) {
  read_pre_tokenizer(json, 0, steps);
}

}  // namespace prefold
