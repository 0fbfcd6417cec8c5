#include "tokenizer/vocabulary.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

constexpr size_t kQuotedBytes = 80;
constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // U+2581, SentencePiece's space

void check_sizes(const TokenizerSpec& spec) {
  const size_t n = spec.tokens.size();
  if (n == 0) throw FormatError("tokenizer: the vocabulary is empty");
  if (n > INT32_MAX) throw FormatError(fmt::format("tokenizer: {} tokens are too many", n));
  if (spec.kinds.size() != n) {
    throw FormatError(fmt::format("tokenizer: {} token types for {} tokens", spec.kinds.size(), n));
  }
  if (spec.model == TokenizerModel::kSentencePiece && spec.scores.size() != n) {
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
  if (spec.add_bos && !spec.bos_id) {
    throw FormatError("tokenizer: a BOS token is to be added, but none is named");
  }
  if (spec.add_eos && !spec.eos_id) {
    throw FormatError("tokenizer: an EOS token is to be added, but none is named");
  }
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
    if (spec.model == TokenizerModel::kSentencePiece && std::isnan(spec.scores[i])) {
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

std::string with_spaces(std::string_view token) {
  std::string text;
  for (size_t pos = 0; pos < token.size();) {
    if (token.substr(pos, kSpaceSymbol.size()) == kSpaceSymbol) {
      text.push_back(' ');
      pos += kSpaceSymbol.size();
    } else {
      text.push_back(token[pos++]);
    }
  }
  return text;
}

std::string bytes_in_text(const TokenizerSpec& spec, size_t id) {
  const std::string& token = spec.tokens[id];
  const TokenKind kind = spec.kinds[id];
  if (kind == TokenKind::kControl || kind == TokenKind::kUnknown) return token;
  if (spec.model == TokenizerModel::kSentencePiece) {
    if (kind == TokenKind::kByte) return std::string(1, byte_of_name(token, id));
    return with_spaces(token);
  }
  if (kind == TokenKind::kUserDefined) return token;
  // As in Hugging Face tokenizers: what is not written in the byte alphabet stands for itself.
  return bytes_of_alphabet(token).value_or(token);
}

}  // namespace

Vocabulary::Vocabulary(TokenizerSpec checked_spec) : spec_(std::move(checked_spec)) {
  check_sizes(spec_);
  check_ids(spec_);
  check_tokens(spec_);
  begins_.reserve(spec_.tokens.size() + 1);
  begins_.push_back(0);
  for (size_t i = 0; i < spec_.tokens.size(); ++i) {
    arena_ += bytes_in_text(spec_, i);
    begins_.push_back(arena_.size());
  }
  size_t special_bytes = 0;
  for (int32_t id = 0; id < size(); ++id) {
    const bool special = is_special(id);
    if (!special && kind(id) != TokenKind::kUserDefined) continue;
    special_bytes += bytes(id).size();
    if (special_bytes > kMaxSpecialBytes) {
      throw FormatError(
          fmt::format("tokenizer: the control and user-defined tokens have more than {} bytes",
                      kMaxSpecialBytes));
    }
    if (!bytes(id).empty()) special_tokens_.add(bytes(id), id, special);
  }
}

}  // namespace prefold
