// A TokenizerSpec, checked, with each token's bytes in running text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

// Far more than any vocabulary needs (the longest tokens seen are runs of some hundred spaces; the
// most special tokens are audio codes, some 65,000). The bounds keep what hostile files can take.
inline constexpr size_t kMaxTokenBytes = 1024;
inline constexpr size_t kMaxSpecialBytes = 8 << 20;  // of all special tokens together

class Vocabulary {
 public:
  // Throws FormatError: see Tokenizer.
  explicit Vocabulary(TokenizerSpec checked_spec);

  const TokenizerSpec& spec() const { return spec_; }
  int32_t size() const { return static_cast<int32_t>(spec_.tokens.size()); }
  TokenKind kind(int32_t id) const { return spec_.kinds[static_cast<size_t>(id)]; }
  std::string_view token(int32_t id) const { return spec_.tokens[static_cast<size_t>(id)]; }

  // The token's bytes in running text. Control and unknown tokens: their spelling.
  std::string_view bytes(int32_t id) const {
    const size_t i = static_cast<size_t>(id);
    return std::string_view(arena_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }
  bool is_special(int32_t id) const {
    return kind(id) == TokenKind::kControl || kind(id) == TokenKind::kUnknown;
  }
  const SpecialTokens& special_tokens() const { return special_tokens_; }

 private:
  TokenizerSpec spec_;
  std::string arena_;
  std::vector<size_t> begins_;  // size() + 1
  SpecialTokens special_tokens_;
};

}  // namespace prefold
