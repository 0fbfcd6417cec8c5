// The tokens of all prompts, in memory at once: 4 bytes a token and 16 a prompt.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "plan/prefix_tree.h"

namespace prefold {

class PromptStore {
 public:
  // The prompt is copied to where it stays.
  void add(std::span<const int32_t> prompt);

  TokenSpan operator[](int32_t i) const { return prompts_[i]; }
  std::span<const TokenSpan> prompts() const { return prompts_; }
  int32_t size() const { return static_cast<int32_t>(prompts_.size()); }
  int64_t n_tokens() const { return n_tokens_; }

 private:
  std::vector<std::unique_ptr<int32_t[]>> chunks_;
  std::span<int32_t> room_;  // at the end of a chunk
  std::vector<TokenSpan> prompts_;
  int64_t n_tokens_ = 0;
};

}  // namespace prefold
