// From logits to tokens: penalties, bias, temperature, truncation, a draw, log-probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/device.h"
#include "plan/step_plan.h"

namespace prefold {

// The sampling side of one running sequence.
struct SamplerState {
  SamplingParams params;
  std::vector<int32_t> stop_ids;  // masked before min_tokens
  uint64_t key = 0;
  int32_t n_sampled = 0;
  int32_t last_token = 0;
  // Tokens that a penalty counts, sorted by id: {id, times sampled, in prompt}.
  struct Count {
    int32_t id;
    int32_t n_output;
    bool in_prompt;
  };
  std::vector<Count> counts;
};

SamplerState start_sampler(const SlotStart& start);

// Draws the token that follows. logits: vocabulary-sized, overwritten. The draw depends only on
// (logits, params, key, n_sampled). Updates the state.
SampledToken sample(const Device& device, std::span<float> logits, SamplerState& state);

// Raw log-probability of target and the n_top best tokens.
SampledToken score(const Device& device, std::span<const float> logits, int32_t target,
                   int32_t n_top);

}  // namespace prefold
