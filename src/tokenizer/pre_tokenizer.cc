#include "tokenizer/pre_tokenizer.h"

#include <array>

#include "base/error.h"

namespace prefold {
namespace {

// Letters and numbers of Unicode 16, which Hugging Face tokenizers use, that are missing from
// Unicode 14, which PCRE2 10.39 to 10.42 know. (PCRE2's \s is not used at all: it counts U+180E.)
constexpr std::string_view kNewLetters =
    R"(\x{1c89}\x{1c8a}\x{a7cb}-\x{a7cd}\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3}\x{10d4a}-\x{10d65})"
    R"(\x{10d6f}-\x{10d85}\x{10ec2}-\x{10ec4}\x{1123f}\x{11240}\x{11380}-\x{11389}\x{1138b})"
    R"(\x{1138e}\x{11390}-\x{113b5}\x{113b7}\x{113d1}\x{113d3}\x{11bc0}-\x{11be0}\x{11f02})"
    R"(\x{11f04}-\x{11f10}\x{11f12}-\x{11f33}\x{1342f}\x{13441}-\x{13446}\x{13460}-\x{143fa})"
    R"(\x{16100}-\x{1611d}\x{16d40}-\x{16d6c}\x{18cff}\x{1b132}\x{1b155}\x{1df25}-\x{1df2a})"
    R"(\x{1e030}-\x{1e06d}\x{1e4d0}-\x{1e4eb}\x{1e5d0}-\x{1e5ed}\x{1e5f0}\x{2b739})"
    R"(\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})";
constexpr std::string_view kNewNumbers =
    R"(\x{10d40}-\x{10d49}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{11f50}-\x{11f59})"
    R"(\x{16130}-\x{16139}\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1d2c0}-\x{1d2d3})"
    R"(\x{1e4f0}-\x{1e4f9}\x{1e5f1}-\x{1e5fa})";
// Hugging Face's digit splitter asks Rust's own tables, which are at Unicode 17.
constexpr std::string_view kNewestDigits = R"(\x{11de0}-\x{11de9}\x{16ff4}-\x{16ff6})";
constexpr std::string_view kSpaces =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// The patterns as published, with L, N and S (inside brackets) for letters, numbers and spaces.
constexpr std::string_view kGpt2Pattern =
    "'(?:[sdmt]|ll|ve|re)| ?[L]+| ?[N]+| ?[^SLN]+|[S]+(?![^S])|[S]+";
constexpr std::string_view kLlama3Pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\nLN]?[L]+|[N]{1,3}| ?[^SLN]+[\\r\\n]*|[S]*[\\r\\n]+|"
    "[S]+(?![^S])|[S]+";
constexpr std::string_view kQwen2Pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\nLN]?[L]+|[N]| ?[^SLN]+[\\r\\n]*|[S]*[\\r\\n]+|"
    "[S]+(?![^S])|[S]+";

std::string expand(std::string_view pattern) {
  std::string expanded;
  for (const char c : pattern) {
    if (c == 'L') {
      expanded.append(R"(\p{L})").append(kNewLetters);
    } else if (c == 'N') {
      expanded.append(R"(\p{N})").append(kNewNumbers);
    } else if (c == 'S') {
      expanded.append(kSpaces);
    } else {
      expanded.push_back(c);
    }
  }
  return expanded;
}

struct Family {
  std::string_view name;
  std::string_view pattern;
  bool digits_alone;
  bool whole_words_first;
};

// Names of llama.cpp that mean the same split share a pattern.
constexpr std::array<Family, 9> kFamilies = {{
    {"llama-bpe", kLlama3Pattern, false, true},
    {"llama3", kLlama3Pattern, false, true},
    {"llama-v3", kLlama3Pattern, false, true},
    {"qwen2", kQwen2Pattern, false, false},
    {"deepseek-r1-qwen", kQwen2Pattern, false, false},
    {"gpt-2", kGpt2Pattern, false, false},
    {"phi-2", kGpt2Pattern, false, false},
    {"smollm", kGpt2Pattern, true, false},
    {"starcoder", kGpt2Pattern, true, false},
}};

const Family& find_family(const std::string& name) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.name == name) return family;
    known.append(known.empty() ? "" : ", ").append(family.name);
  }
  throw FormatError(
      fmt::format("tokenizer: unknown pre-tokenizer \"{}\"; expected one of {}", name, known));
}

}  // namespace

PreTokenizer::PreTokenizer(const std::string& name) : word_(expand(find_family(name).pattern)) {
  const Family& family = find_family(name);
  whole_words_first_ = family.whole_words_first;
  if (family.digits_alone) digit_.emplace(expand("[N" + std::string(kNewestDigits) + "]"));
}

}  // namespace prefold
