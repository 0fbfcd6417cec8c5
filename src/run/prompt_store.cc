#include "run/prompt_store.h"

#include <algorithm>

namespace prefold {
namespace {

constexpr size_t kChunkTokens = size_t{1} << 18;
constexpr size_t kOwnChunkTokens = kChunkTokens / 16;  // a prompt this long has its own chunk

}  // namespace

void PromptStore::add(std::span<const int32_t> prompt) {
  const auto new_chunk = [&](size_t n_tokens) {
    chunks_.push_back(std::make_unique_for_overwrite<int32_t[]>(n_tokens));
    return std::span(chunks_.back().get(), n_tokens);
  };
  std::span<int32_t> place;
  if (prompt.size() >= kOwnChunkTokens) {
    place = new_chunk(prompt.size());
  } else {
    if (prompt.size() > room_.size()) room_ = new_chunk(kChunkTokens);
    place = room_.first(prompt.size());
    room_ = room_.subspan(prompt.size());
  }
  std::copy(prompt.begin(), prompt.end(), place.begin());
  prompts_.push_back(place);
  n_tokens_ += static_cast<int64_t>(prompt.size());
}

}  // namespace prefold
