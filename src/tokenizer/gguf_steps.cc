#include "tokenizer/gguf_steps.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace prefold {
namespace {

// The patterns as the models' own tokenizer.json files have them; where llama.cpp approximates one,
// the model was trained with the original.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kJais2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S))"
    R"(|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kKimiK2 =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr std::string_view kCjk = R"([一-龥぀-ゟ゠-ヿ]+)";
constexpr std::string_view kCjkHangul = R"([一-龥ࠀ-一가-퟿]+)";
// Letters with case, as DeepSeek lists them.
constexpr std::string_view kDeepseekLetters =
    R"(\s?[)"
    R"(A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293})"
    R"(\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386})"
    R"(\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f})"
    R"(\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba})"
    R"(\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15})"
    R"(\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b})"
    R"(\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4})"
    R"(\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4})"
    R"(\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124})"
    R"(\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f})"
    R"(\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4})"
    R"(\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f})"
    R"(\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17})"
    R"(\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3})"
    R"(\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df})"
    R"(\x{1e900}-\x{1e943})"
    R"(]+)";
constexpr std::string_view kDeepseekPunctuation = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
// As "\s+$", which would look at a run of spaces from each of them.
constexpr std::string_view kSpacesAtEnd = R"((?<!\s)\s+$)";

using Kind = PreTokenizerStep::Kind;

PreTokenizerStep split(TextPattern::Kind kind, std::string_view pattern, SplitBehavior behavior) {
  PreTokenizerStep step;
  step.pattern = {kind, std::string(pattern)};
  step.behavior = behavior;
  return step;
}

PreTokenizerStep split(std::string_view regex) {
  return split(TextPattern::Kind::kRegex, regex, SplitBehavior::kIsolated);
}

PreTokenizerStep digits(SplitBehavior behavior) {
  return split(TextPattern::Kind::kNumeric, "", behavior);
}

PreTokenizerStep byte_alphabet() {
  PreTokenizerStep step;
  step.kind = Kind::kByteAlphabet;
  return step;
}

using Steps = std::vector<PreTokenizerStep>;

Steps one(std::string_view regex) { return {split(regex), byte_alphabet()}; }
Steps gpt2() { return one(kGpt2); }
Steps llama3() { return one(kLlama3); }
Steps qwen2() { return one(kQwen2); }
Steps qwen35() { return one(kQwen35); }
Steps gpt4o() { return one(kGpt4o); }
Steps tekken() { return one(kTekken); }
Steps bailing() { return one(kBailing); }
Steps seed_coder() { return one(kSeedCoder); }
Steps exaone_moe() { return one(kExaoneMoe); }
Steps jais2() { return one(kJais2); }
Steps kimi_k2() { return one(kKimiK2); }
Steps bloom() { return one(kBloom); }
Steps viking() { return {split(kBloom), digits(SplitBehavior::kIsolated), byte_alphabet()}; }
Steps digits_gpt2() { return {digits(SplitBehavior::kIsolated), split(kGpt2), byte_alphabet()}; }
Steps tiny_aya() { return {split(R"(\d{1,3}(?=(?:\d{3})*\b))"), split(kGpt4o), byte_alphabet()}; }
Steps deepseek_v3() {
  return {split(R"(\p{N}{1,3})"), split(kCjk), split(kDeepseekV3), byte_alphabet()};
}
Steps deepseek_llm() {
  return {split(R"([\r\n])"),  split(kDeepseekLetters), split(kDeepseekPunctuation),
          split(kSpacesAtEnd), split(kCjkHangul),       digits(SplitBehavior::kIsolated),
          byte_alphabet()};
}
Steps deepseek_coder() {
  return {split(R"([\r\n])"),
          split(R"(\s?\p{L}+)"),
          split(R"(\s?\p{P}+)"),
          split(kCjkHangul),
          digits(SplitBehavior::kIsolated),
          byte_alphabet()};
}
// Falcon looks for digits in what is spelled in the byte alphabet already.
Steps falcon() {
  return {split(TextPattern::Kind::kPunctuation, "", SplitBehavior::kContiguous), split(kGpt2),
          byte_alphabet(), digits(SplitBehavior::kContiguous), split("[0-9][0-9][0-9]")};
}

struct Family {
  std::string_view name;
  Steps (*steps)();
  bool ignore_merges;
};

// Names of llama.cpp; several mean the same.
constexpr Family kFamilies[] = {
    {"llama-bpe", llama3, true},
    {"llama3", llama3, true},
    {"llama-v3", llama3, true},
    {"falcon3", llama3, true},
    {"falcon-h1", llama3, true},
    {"pixtral", llama3, true},
    {"midm-2.0", llama3, true},
    {"lfm2", llama3, true},
    {"glm4", llama3, true},
    {"chatglm-bpe", llama3, false},
    {"dbrx", llama3, false},
    {"smaug-bpe", llama3, false},
    {"jais-2", jais2, false},
    {"qwen2", qwen2, false},
    {"deepseek-r1-qwen", qwen2, false},
    {"stablelm2", qwen2, false},
    {"hunyuan", qwen2, false},
    {"solar-open", qwen2, false},
    {"megrez", qwen2, false},
    {"kormo", qwen2, false},
    {"grok-2", qwen2, false},
    {"qwen35", qwen35, false},
    {"gpt-2", gpt2, false},
    {"phi-2", gpt2, false},
    {"mpt", gpt2, false},
    {"olmo", gpt2, false},
    {"jais", gpt2, false},
    {"gigachat", gpt2, false},
    {"a.x-4.0", gpt2, false},
    {"mellum", gpt2, false},
    {"exaone4", gpt2, false},
    {"trillion", gpt2, false},
    {"granite-docling", gpt2, false},
    {"smollm", digits_gpt2, false},
    {"starcoder", digits_gpt2, false},
    {"refact", digits_gpt2, false},
    {"command-r", digits_gpt2, false},
    {"codeshell", digits_gpt2, false},
    {"exaone", digits_gpt2, false},
    {"minerva-7b", digits_gpt2, false},
    {"mellum2", digits_gpt2, false},
    {"exaone-moe", exaone_moe, false},
    {"gpt-4o", gpt4o, false},
    {"llama4", gpt4o, false},
    {"kanana2", gpt4o, false},
    {"minimax-m2", gpt4o, false},
    {"tekken", tekken, true},
    {"tiny_aya", tiny_aya, false},
    {"kimi-k2", kimi_k2, false},
    {"deepseek-llm", deepseek_llm, false},
    {"deepseek-coder", deepseek_coder, false},
    {"deepseek-v3", deepseek_v3, false},
    {"hunyuan-dense", deepseek_v3, false},
    {"joyai-llm", deepseek_v3, false},
    {"falcon", falcon, false},
    {"bailingmoe", bailing, false},
    {"bailingmoe2", bailing, false},
    {"llada-moe", bailing, false},
    {"seed-coder", seed_coder, false},
    {"bloom", bloom, false},
    {"poro-chat", bloom, false},
    {"gpt3-finnish", bloom, false},
    {"viking", viking, false},
};

const Family& find_family(const std::string& name) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.name == name) return family;
    known.append(known.empty() ? "" : ", ").append(family.name);
  }
  throw FormatError(
      fmt::format("tokenizer: unknown pre-tokenizer \"{}\"; expected one of {}", name, known));
}

// Spaces are U+2581, and the text begins with one that decoding takes away.
TextSteps sentencepiece_steps(bool add_space_prefix) {
  constexpr const char* kSpace = "\xe2\x96\x81";
  TextSteps steps;
  if (add_space_prefix) {
    NormalizerStep& prepend = steps.normalizer.emplace_back();
    prepend.kind = NormalizerStep::Kind::kPrepend;
    prepend.content = std::string(kSpace);
    DecoderSpec::Edit& strip = steps.decoder.strips.emplace_back();
    strip.kind = DecoderSpec::Edit::Kind::kStrip;
    strip.pattern.text = std::string(" ");
    strip.start = 1;
  }
  NormalizerStep& replace = steps.normalizer.emplace_back();
  replace.kind = NormalizerStep::Kind::kReplace;
  replace.pattern.text = std::string(" ");
  replace.content = std::string(kSpace);
  DecoderSpec::Edit& edit = steps.decoder.edits.emplace_back();
  edit.pattern.text = std::string(kSpace);
  edit.content = std::string(" ");
  steps.decoder.byte_fallback = true;
  return steps;
}

// Control and unknown tokens are special, user-defined ones are found in any text. Of tokens
// spelled alike the last counts.
std::vector<AddedToken> added_tokens_by_kind(const TokenizerSpec& spec) {
  std::vector<AddedToken> added;
  for (size_t i = std::min(spec.tokens.size(), spec.kinds.size()); i-- > 0;) {
    const TokenKind kind = spec.kinds[i];
    const bool special = kind == TokenKind::kControl || kind == TokenKind::kUnknown;
    if ((!special && kind != TokenKind::kUserDefined) || spec.tokens[i].empty()) continue;
    AddedToken& token = added.emplace_back();
    token.content = spec.tokens[i];
    token.id = static_cast<int32_t>(i);
    token.special = special;
    token.in_model = false;
  }
  return added;
}

}  // namespace

void spell_out_gguf(TokenizerSpec& spec) {
  const bool sentencepiece = spec.model == TokenizerModel::kSentencePieceBpe;
  if (spec.pre.empty() && !sentencepiece) return;
  spec.added_tokens = added_tokens_by_kind(spec);
  if (sentencepiece) {
    spec.steps = sentencepiece_steps(spec.add_space_prefix);
    spec.byte_fallback = true;
    spec.fuse_unknown = true;
    return;
  }
  const Family& family = find_family(spec.pre);
  spec.steps.pre_tokenizer = family.steps();
  spec.steps.decoder.join = DecoderSpec::Join::kBytes;
  spec.ignore_merges = family.ignore_merges;
  spec.unknown_id.reset();  // a byte without a token vanishes
}

}  // namespace prefold
