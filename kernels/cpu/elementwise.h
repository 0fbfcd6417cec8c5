// The small ops of a layer on the CPU, one row or one head a call.
#pragma once

#include <cstdint>

namespace prefold {

// kGelu: x / 2 (1 + erf(x / sqrt 2)).
// kGeluTanh: x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (both arXiv 1606.08415).
enum class Activation { kSilu, kGelu, kGeluTanh, kRelu };
inline constexpr int kActivationCount = 4;

struct ElementwiseKernels {
  // out = x / sqrt(mean(x^2) + eps) * weight, n values. out may be x; no weight (null) counts as 1.
  void (*rmsnorm)(const float* x, const float* weight, float eps, int32_t n, float* out);
  // out = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, likewise; no bias counts as 0.
  void (*layernorm)(const float* x, const float* weight, const float* bias, float eps, int32_t n,
                    float* out);
  // Rotates n_pairs pairs of one head in place: (2i, 2i + 1), or (i, i + n_pairs).
  void (*rope_interleaved)(float* x, const float* cos, const float* sin, int32_t n_pairs);
  void (*rope_half)(float* x, const float* cos, const float* sin, int32_t n_pairs);
  // By Activation: gate = act(gate) * up; x = act(x). n values.
  void (*gate[kActivationCount])(float* gate, const float* up, int32_t n);
  void (*activate[kActivationCount])(float* x, int32_t n);
  // out = fma(x, factor, out)
  void (*add_scaled)(const float* x, float factor, int32_t n, float* out);
  // x = x * factor
  void (*scale)(float* x, float factor, int32_t n);
  // x = max(-limit, min(limit, x))
  void (*clip)(float* x, float limit, int32_t n);
  // x = cap * tanh(x / cap)
  void (*softcap)(float* x, float cap, int32_t n);
};

}  // namespace prefold
