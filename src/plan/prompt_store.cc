#include "plan/prompt_store.h"

#include "base/check.h"

namespace prefold {

PromptStore::PromptStore(std::span<const std::vector<int32_t>> prompts) {
  for (const std::vector<int32_t>& prompt : prompts) add(prompt);
}

void PromptStore::add(TokenSpan prompt) {
  const size_t place = n_prompts_++ % kChunkPrompts;
  if (place == 0) chunks_.emplace_back();
  Chunk& chunk = chunks_.back();
  chunk.tokens.insert(chunk.tokens.end(), prompt.begin(), prompt.end());
  CHECK(chunk.tokens.size() <= UINT32_MAX);
  chunk.ends[place] = static_cast<uint32_t>(chunk.tokens.size());
  if (place + 1 == kChunkPrompts) chunk.tokens.shrink_to_fit();
  n_tokens_ += static_cast<int64_t>(prompt.size());
}

}  // namespace prefold
