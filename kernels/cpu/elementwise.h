// The small ops of a layer on the CPU, one row or one head a call.
#pragma once

#include <cstdint>

namespace prefold {

struct ElementwiseKernels {
  // out = x / sqrt(mean(x^2) + eps) * gamma, n values. out may be x.
  void (*rmsnorm)(const float* x, const float* gamma, float eps, int32_t n, float* out);
  // Rotates n_pairs pairs of one head in place: (2i, 2i + 1), or (i, i + n_pairs).
  void (*rope_interleaved)(float* x, const float* cos, const float* sin, int32_t n_pairs);
  void (*rope_half)(float* x, const float* cos, const float* sin, int32_t n_pairs);
  // gate = gate / (1 + exp(-gate)) * up, n values.
  void (*silu_mul)(float* gate, const float* up, int32_t n);
};

}  // namespace prefold
