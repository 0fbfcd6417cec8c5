#include "tokenizer/vocabulary.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "tokenizer/gguf_steps.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

constexpr size_t kQuotedBytes = 80;

void check_sizes(const TokenizerSpec& spec) {
  const size_t n = spec.tokens.size();
  if (n == 0) throw FormatError("tokenizer: the vocabulary is empty");
  if (n > INT32_MAX) throw FormatError(fmt::format("tokenizer: {} tokens are too many", n));
  if (spec.kinds.size() != n) {
    throw FormatError(fmt::format("tokenizer: {} token types for {} tokens", spec.kinds.size(), n));
  }
  if (spec.model != TokenizerModel::kBpe && spec.scores.size() != n) {
    throw FormatError(fmt::format("tokenizer: {} scores for {} tokens", spec.scores.size(), n));
  }
}

void check_id(const TokenizerSpec& spec, const char* name, std::optional<int32_t> id) {
  if (!id || (*id >= 0 && static_cast<size_t>(*id) < spec.tokens.size())) return;
  throw FormatError(fmt::format("tokenizer: {} token id is {}; expected an id from 0 to {}", name,
                                *id, spec.tokens.size() - 1));
}

void check_ids(const TokenizerSpec& spec) {
  check_id(spec, "BOS", spec.bos_id);
  check_id(spec, "EOS", spec.eos_id);
  check_id(spec, "end-of-turn", spec.eot_id);
  check_id(spec, "unknown", spec.unknown_id);
  check_id(spec, "padding", spec.pad_id);
  for (const int32_t id : spec.prefix_ids) check_id(spec, "a prefix", id);
  for (const int32_t id : spec.suffix_ids) check_id(spec, "a suffix", id);
  for (const AddedToken& token : spec.added_tokens) check_id(spec, "an added", token.id);
}

void check_tokens(const TokenizerSpec& spec) {
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::string& token = spec.tokens[i];
    if (token.size() > kMaxTokenBytes) {
      throw FormatError(fmt::format("tokenizer: token {} has {} bytes; expected at most {}", i,
                                    token.size(), kMaxTokenBytes));
    }
    if (find_invalid_utf8(token) != std::string_view::npos) {
      throw FormatError(fmt::format("tokenizer: token {} is not valid UTF-8", i));
    }
    if (spec.model != TokenizerModel::kBpe && std::isnan(spec.scores[i])) {
      throw FormatError(fmt::format("tokenizer: the score of token {} is not a number", i));
    }
  }
}

// "<0x0A>" is the byte 10.
char byte_of_name(std::string_view token, size_t id) {
  unsigned value = 0;
  if (token.size() == 6 && token.substr(0, 3) == "<0x" && token[5] == '>') {
    const char* digits_end = token.data() + 5;
    if (std::from_chars(token.data() + 3, digits_end, value, 16).ptr == digits_end) {
      return static_cast<char>(value);
    }
  }
  throw FormatError(
      fmt::format("tokenizer: byte token {} is named \"{}\"; expected a name such as <0x0A>", id,
                  token.substr(0, kQuotedBytes)));
}

void check_added_tokens(const TokenizerSpec& spec) {
  size_t n_bytes = 0;
  for (const AddedToken& token : spec.added_tokens) n_bytes += token.content.size();
  if (n_bytes > kMaxSpecialBytes) {
    throw FormatError(
        fmt::format("tokenizer: the control and user-defined tokens have more than {} bytes",
                    kMaxSpecialBytes));
  }
}

TokenizerSpec complete(TokenizerSpec spec) {
  check_sizes(spec);
  spell_out_gguf(spec);
  check_ids(spec);
  check_tokens(spec);
  check_added_tokens(spec);
  return spec;
}

}  // namespace

Vocabulary::Vocabulary(TokenizerSpec spec)
    : spec_(complete(std::move(spec))),
      normalizer_(spec_.steps.normalizer),
      token_text_(spec_.steps.decoder) {
  in_model_.resize(spec_.tokens.size());
  for (int32_t id = 0; id < size(); ++id) {
    in_model_[static_cast<size_t>(id)] =
        kind(id) == TokenKind::kNormal || kind(id) == TokenKind::kByte;
  }
  std::string spare;
  for (const AddedToken& token : spec_.added_tokens) {
    in_model_[static_cast<size_t>(token.id)] = token.in_model;
    // Hugging Face tokenizers decode to what is searched for in the text.
    if (token.normalized && !token.special && !token.content.empty()) {
      normalizer_.apply(normalized_[token.id] = token.content, spare);
    }
  }
  begins_.reserve(spec_.tokens.size() + 1);
  begins_.push_back(0);
  for (size_t i = 0; i < spec_.tokens.size(); ++i) {
    const std::string_view token = spelling(static_cast<int32_t>(i));
    const bool byte = spec_.kinds[i] == TokenKind::kByte;
    if (byte && (spec_.byte_fallback || spec_.steps.decoder.byte_fallback)) {
      const char value = byte_of_name(token, i);
      arena_ += spec_.steps.decoder.byte_fallback ? std::string(1, value)
                                                  : token_text_.text_of(token, false);
    } else {
      arena_ += token_text_.text_of(token, false);
    }
    begins_.push_back(arena_.size());
  }
}

uint8_t Vocabulary::byte_of(int32_t id) const {
  const size_t i = static_cast<size_t>(id);
  return static_cast<uint8_t>(byte_of_name(spec_.tokens[i], i));
}

}  // namespace prefold
