#include "cuda/slot_changes.h"

#include <algorithm>

namespace prefold::cuda {

bool has_penalty(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.frequency_penalty != 0.0f ||
         params.presence_penalty != 0.0f;
}

void append_changes(const SlotStart& start, std::vector<LogitChange>& changes) {
  const SamplingParams& params = *start.params;
  const auto begin = std::ssize(changes);
  if (params.min_tokens > 0) {
    for (const int32_t id : start.stop_ids) changes.push_back({id, LogitChange::kMasked});
  }
  for (const auto& [id, bias] : params.logit_bias) changes.push_back({id, 0, bias});
  if (params.repetition_penalty != 1.0f) {
    for (const int32_t id : start.prompt) changes.push_back({id, LogitChange::kPenalized});
  }

  // One entry an id.
  const auto first = changes.begin() + begin;
  std::sort(first, changes.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  auto end = first;
  for (auto change = first; change != changes.end(); ++change) {
    if (end != first && (end - 1)->id == change->id) {
      (end - 1)->flags |= change->flags;
      (end - 1)->bias += change->bias;  // of one of them: ids of logit_bias are distinct
    } else {
      *end++ = *change;
    }
  }
  changes.erase(end, changes.end());
}

ChangeCounts most_changes(const SamplingParams& params, int32_t n_stop_ids, int32_t n_prompt_tokens,
                          int32_t max_tokens, int32_t n_vocab) {
  int64_t at_start = std::ssize(params.logit_bias);
  if (params.min_tokens > 0) at_start += n_stop_ids;
  if (params.repetition_penalty != 1.0f) at_start += n_prompt_tokens;
  const int64_t at_end = at_start + (has_penalty(params) ? max_tokens : 0);
  return {std::min<int64_t>(at_start, n_vocab), std::min<int64_t>(at_end, n_vocab)};
}

}  // namespace prefold::cuda
