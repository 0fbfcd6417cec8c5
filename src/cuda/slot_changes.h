// What requests change about logits, as the sampling kernels take it
// (kernels/cuda/sampler_slots.h).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/sampler_slots.h"
#include "plan/step_plan.h"

namespace prefold::cuda {

// Sampled tokens are counted.
bool has_penalty(const SamplingParams& params);

// Appends a slot's entries before its first sample, sorted by id.
void append_changes(const SlotStart& start, std::vector<LogitChange>& changes);

// How many entries that may be at most, for a prompt of n_prompt_tokens, and how many there may be
// after max_tokens samples.
struct ChangeCounts {
  int64_t at_start = 0;
  int64_t at_end = 0;
};
ChangeCounts most_changes(const SamplingParams& params, int32_t n_stop_ids, int32_t n_prompt_tokens,
                          int32_t max_tokens, int32_t n_vocab);

}  // namespace prefold::cuda
