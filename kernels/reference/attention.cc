#include "kernels/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace prefold::reference {

std::vector<double> attention(std::span<const float> q, std::span<const float> k,
                              std::span<const float> v, int32_t n_positions, int32_t n_heads,
                              int32_t n_kv_heads, int32_t head_dim, double scale, double softcap,
                              int32_t first_seen) {
  std::vector<double> out(q.size(), 0.0);
  std::vector<double> weights(n_positions);
  const int64_t kv_stride = int64_t{n_kv_heads} * head_dim;
  for (int32_t head = 0; head < n_heads; ++head) {
    const int64_t column = int64_t{head / (n_heads / n_kv_heads)} * head_dim;
    std::fill(weights.begin(), weights.end(), -std::numeric_limits<double>::infinity());
    for (int32_t j = first_seen; j < n_positions; ++j) {
      double dot = 0.0;
      for (int32_t d = 0; d < head_dim; ++d) {
        dot += double{q[head * head_dim + d]} * k[j * kv_stride + column + d];
      }
      weights[j] = softcap == 0.0 ? dot * scale : softcap * std::tanh(dot * scale / softcap);
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    double sum = 0.0;
    for (double& weight : weights) {
      weight = std::exp(weight - largest);
      sum += weight;
    }
    for (int32_t d = 0; d < head_dim; ++d) {
      double value = 0.0;
      for (int32_t j = first_seen; j < n_positions; ++j)
        value += weights[j] * v[j * kv_stride + column + d];
      out[head * head_dim + d] = value / sum;
    }
  }
  return out;
}

}  // namespace prefold::reference
