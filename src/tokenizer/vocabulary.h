// A TokenizerSpec, checked, with each token's bytes in running text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/token_text.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

// Far more than any vocabulary needs (the longest tokens seen are runs of some hundred spaces; the
// most special tokens are audio codes, some 65,000). The bounds keep what hostile files can take.
inline constexpr size_t kMaxTokenBytes = 1024;
inline constexpr size_t kMaxSpecialBytes = 8 << 20;  // of all added tokens together

class Vocabulary {
 public:
  // Throws FormatError: see Tokenizer.
  explicit Vocabulary(TokenizerSpec spec);

  const TokenizerSpec& spec() const { return spec_; }
  const TokenText& token_text() const { return token_text_; }
  int32_t size() const { return static_cast<int32_t>(spec_.tokens.size()); }
  TokenKind kind(int32_t id) const { return spec_.kinds[static_cast<size_t>(id)]; }
  std::string_view token(int32_t id) const { return spec_.tokens[static_cast<size_t>(id)]; }

  // The token's bytes in running text, where it is not the first.
  std::string_view bytes(int32_t id) const {
    const size_t i = static_cast<size_t>(id);
    return std::string_view(arena_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }
  // The byte that a byte token, "<0x0A>", stands for. Only where there is byte fallback.
  uint8_t byte_of(int32_t id) const;
  const Normalizer& normalizer() const { return normalizer_; }
  // What decoding starts from: the token, an added token as it is searched for.
  std::string_view spelling(int32_t id) const {
    const auto normalized = normalized_.find(id);
    return normalized == normalized_.end() ? token(id) : normalized->second;
  }
  // Left out of text by skip_special.
  bool is_special(int32_t id) const {
    return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown;
  }
  // Text without added tokens can become this token.
  bool in_model(int32_t id) const { return in_model_[static_cast<size_t>(id)]; }

 private:
  TokenizerSpec spec_;
  Normalizer normalizer_;
  TokenText token_text_;
  std::vector<bool> in_model_;
  std::unordered_map<int32_t, std::string> normalized_;  // added tokens that are normalised
  std::string arena_;
  std::vector<size_t> begins_;  // size() + 1
};

}  // namespace prefold
