// From logits to tokens: penalties, bias, temperature, truncation, a draw.
// Names and meanings are OpenAI's and vLLM's; the order is that of vLLM's v1 sampler:
//
//   1. log-probabilities are taken of the raw logits, over the whole vocabulary (logprobs.h);
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
// How sums are rounded is said in logprobs.h and truncation.h.
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

// Counts a token as sampled. The functions that sample do so themselves.
void take_token(SamplerState& state, int32_t id);

// Draws with at most this top_k are decided by lists kept while logits come tile by tile.
inline constexpr int32_t kMaxBest = 128;

// How many of the best logits after steps 2 to 4 decide the next token and its log-probability
// (1 if greedy, else top_k); 0 if the whole row of logits is needed.
int32_t best_that_decide(const SamplerState& state, int32_t n_vocab);

// Shows logits, the first of which is of first_id, to the list after steps 2 to 4. They are changed
// meanwhile and as before afterwards.
void show_changed_logits(const Device& device, std::span<float> logits, int32_t first_id,
                         const SamplerState& state, SamplerScratch& scratch, TopList& list);

// Both draw the token that follows and update the state; the same token where both may be called.
// The draw depends only on (logits, params, key, n_sampled and the tokens so far). They run on the
// calling thread; calls with different states, logits and scratches may run at once.
//
// From the best_that_decide best logits of the row, best first. With the token comes its logit
// after steps 2 to 4, the raw one if params ask for log-probabilities; minus infinity if no logit
// is finite.
TokenLogit sample_from_best(const Device& device, std::span<const TokenLogit> best, int32_t n_vocab,
                            SamplerState& state, SamplerScratch& scratch);
// From a whole row of raw logits, changed meanwhile and as before afterwards. With the token comes
// its raw logit.
TokenLogit sample_from_row(const Device& device, std::span<float> logits, SamplerState& state,
                           SamplerScratch& scratch);

}  // namespace prefold
