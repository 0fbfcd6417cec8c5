// Log-probabilities of a row of logits from what is left of its tiles.
//
// A tile of kVocabTile ids leaves its highest logit and the sum of exp(logit - highest), in f32 on
// 16 lanes. The log-sum-exp of the row weighs the tiles' sums with exp(highest - highest of all),
// in f32, and adds them in index order in double: its bits depend on the row alone.
#pragma once

#include <cstdint>
#include <span>

#include "engine/truncation.h"
#include "kernels/cpu/vocab.h"
#include "plan/step_plan.h"

namespace prefold {

// A value for each tile.
struct RowTiles {
  std::span<float> highest;
  std::span<float> sums;
};

// log(sum of exp) = max_logit + log_sum; max_logit is minus infinity if no logit is finite.
struct LogSum {
  float max_logit = -__builtin_inff();
  double log_sum = 0.0;
};

// Overwrites tiles.highest.
LogSum log_sum_of(const VocabKernels& kernels, const RowTiles& tiles);

// Of a token with this logit: minus infinity if that is not finite.
float logprob_of(const LogSum& sum, float logit);

// Log-probability of `token` and of the first n_top of `best`, the row's best finite logits, best
// first: as many as there are.
SampledToken with_logprobs(const LogSum& sum, const TokenLogit& token,
                           std::span<const TokenLogit> best, int32_t n_top);

}  // namespace prefold
