#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/natural_log.h"

namespace prefold {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

LogSum log_sum_of(const VocabKernels& kernels, const RowTiles& tiles) {
  const auto n_tiles = static_cast<int32_t>(tiles.highest.size());
  LogSum sum;
  sum.max_logit = kernels.highest(tiles.highest.data(), n_tiles);
  if (sum.max_logit == -kInfinity) return sum;
  const VocabWeights rule{.max_logit = sum.max_logit};
  kernels.weights(tiles.highest.data(), n_tiles, rule, tiles.highest.data());
  double total = 0.0;
  for (int32_t t = 0; t < n_tiles; ++t) total += double{tiles.highest[t]} * tiles.sums[t];
  sum.log_sum = natural_log(total);
  return sum;
}

float logprob_of(const LogSum& sum, float logit) {
  if (!std::isfinite(logit)) return -kInfinity;
  return static_cast<float>(static_cast<double>(logit) - sum.max_logit - sum.log_sum);
}

SampledToken with_logprobs(const LogSum& sum, const TokenLogit& token,
                           std::span<const TokenLogit> best, int32_t n_top) {
  SampledToken result{token.id, logprob_of(sum, token.logit), {}};
  const size_t n = std::min(best.size(), static_cast<size_t>(std::max(n_top, 0)));
  result.top.reserve(n);
  for (const TokenLogit& b : best.first(n)) result.top.emplace_back(b.id, logprob_of(sum, b.logit));
  return result;
}

}  // namespace prefold
