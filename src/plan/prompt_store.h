// The tokens of all prompts, in memory at once: 4 bytes a token, and 4.5 a prompt to find them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace prefold {

using TokenSpan = std::span<const int32_t>;

class PromptStore {
 public:
  PromptStore() = default;
  explicit PromptStore(std::span<const std::vector<int32_t>> prompts);

  // The prompt is copied; spans of earlier ones may have moved.
  void add(TokenSpan prompt);

  // Valid until a prompt is added.
  TokenSpan operator[](size_t i) const {
    const Chunk& chunk = chunks_[i / kChunkPrompts];
    const size_t place = i % kChunkPrompts;
    const uint32_t begin = place == 0 ? 0 : chunk.ends[place - 1];
    return {chunk.tokens.data() + begin, chunk.ends[place] - begin};
  }
  int32_t size() const { return static_cast<int32_t>(n_prompts_); }
  int64_t n_tokens() const { return n_tokens_; }

 private:
  // So many prompts one after another, with no room to spare once all of them are there.
  static constexpr size_t kChunkPrompts = 64;
  struct Chunk {
    std::vector<int32_t> tokens;
    std::array<uint32_t, kChunkPrompts> ends{};  // of each prompt, in `tokens`
  };
  static_assert(sizeof(Chunk) <= 4.5 * kChunkPrompts);

  std::vector<Chunk> chunks_;
  size_t n_prompts_ = 0;
  int64_t n_tokens_ = 0;
};

}  // namespace prefold
