// What the parts of a row of logits say of it, and log-probabilities from that.
#pragma once

#include "kernels/cuda/logits.h"
#include "kernels/cuda/vocab.cuh"

namespace prefold::cuda {

// The best token of a row by its parts, by each warp for itself; 0 if no logit is finite.
__device__ inline uint64_t best_of_parts(const LogitsPart* parts, int n_parts) {
  uint64_t best = 0;
  for (int i = static_cast<int>(threadIdx.x % 32); i < n_parts; i += 32) {
    const LogitsPart part = load16(parts + i);
    if (part.logit == lowest_logit()) continue;
    const uint64_t rank = rank_of(part.logit, part.id);
    best = rank > best ? rank : best;
  }
  return warp_max(best);
}

struct Summary {
  uint64_t best;   // rank; 0 if no logit is finite
  double log_sum;  // ln(sum of exp(logit - best logit)), where wanted
};

// By each warp for itself.
__device__ inline Summary merge_parts(const LogitsPart* parts, int n_parts, bool wants_logprob) {
  Summary summary{best_of_parts(parts, n_parts), 0.0};
  if (!wants_logprob || summary.best == 0) return summary;
  double sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x % 32); i < n_parts; i += 32) {
    const LogitsPart part = load16(parts + i);
    if (part.logit == lowest_logit()) continue;
    sum += part.sum * exp(static_cast<double>(part.logit) - logit_of_rank(summary.best));
  }
  summary.log_sum = log(warp_sum(sum));
  return summary;
}

// Natural logarithm of the raw probability.
__device__ inline float logprob_of(const Summary& raw, float logit) {
  if (!isfinite(logit)) return lowest_logit();
  const double distance = static_cast<double>(logit) - logit_of_rank(raw.best);
  return static_cast<float>(distance - raw.log_sum);
}

}  // namespace prefold::cuda
