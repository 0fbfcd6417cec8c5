// From logits to tokens: penalties, bias, temperature, truncation, a draw, log-probabilities.
// Names and meanings are OpenAI's and vLLM's; the order is that of vLLM's v1 sampler:
//
//   1. log-probabilities are taken of the raw logits, over the whole vocabulary;
//   2. stop ids are masked while fewer than min_tokens tokens have been sampled;
//   3. logit_bias is added;
//   4. repetition_penalty divides a positive logit and multiplies another, for tokens of the prompt
//      and the output; then frequency_penalty (times the count) and presence_penalty are subtracted
//      for tokens of the output;
//   5. a temperature below 1e-5 takes the highest logit, ties to the lower id: done;
//   6. logits are divided by the temperature; kept are the tokens at least min_p times as probable
//      as the best; of them the top_k best, exactly that many, ties to the lower id; of them the
//      smallest set of most probable ones that holds top_p of what 5 and 6 left, ties alike;
//   7. one uniform number u is drawn (philox.h, number n_sampled of the stream `key`); the token is
//      the first in vocabulary order at which the running sum of kept probabilities exceeds u.
//
// A logit that is NaN or infinite counts as minus infinity. If no logit is finite, the lowest id
// that is not masked is taken. Every bit depends on the row and its state alone (invariant I6).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/truncation.h"
#include "ops/device.h"
#include "plan/step_plan.h"

namespace prefold {

// The sampling side of one running sequence.
struct SamplerState {
  SamplingParams params;          // logit_bias sorted by id
  std::vector<int32_t> stop_ids;  // masked before min_tokens
  uint64_t key = 0;
  int32_t n_sampled = 0;
  int32_t last_token = 0;  // valid if n_sampled > 0
  // Tokens that a penalty counts, sorted by id; empty if the request has no penalty.
  struct Count {
    int32_t id;
    int32_t n_output;
    bool in_prompt;
  };
  std::vector<Count> counts;
};

SamplerState start_sampler(const SlotStart& start);

// Counts a token as sampled. sample does so itself.
void take_token(SamplerState& state, int32_t id);

// Draws the token that follows and updates the state. logits: vocabulary-sized, changed meanwhile
// and as before afterwards. The draw depends only on (logits, params, key, n_sampled and the tokens
// so far). Runs on the calling thread; calls with different states, logits and scratches may run at
// once.
SampledToken sample(const Device& device, std::span<float> logits, SamplerState& state,
                    SamplerScratch& scratch);

// The same where the logits come tile by tile: true if the token is the highest logit after steps 2
// to 4 and nothing else is asked for, so that sample_best, given the best of all tiles, does what
// sample would do with the whole row.
bool needs_only_best(const SamplingParams& params);

// Finds the highest changed logit of a tile, whose ids start at first_id, and takes it for `best`,
// which is kNoLogit before the first tile, if it is better. Tiles may come in any order, and be
// spread over several `best`, of which take_better makes one. `logits` as in sample.
inline constexpr BestLogit kNoLogit{-__builtin_inff(), 0};
void find_best_in_tile(const Device& device, std::span<float> logits, int32_t first_id,
                       const SamplerState& state, SamplerScratch& scratch, BestLogit& best);
void take_better(const BestLogit& other, BestLogit& best);
SampledToken sample_best(const BestLogit& best, int32_t n_vocab, SamplerState& state);

// Raw log-probability of target and the n_top best tokens, best first, ties to the lower id. The
// log-probability of a token whose logit is not finite is minus infinity; such tokens are never
// among the best, which may then be fewer.
SampledToken score(const Device& device, std::span<const float> logits, int32_t target,
                   int32_t n_top, SamplerScratch& scratch);

}  // namespace prefold
