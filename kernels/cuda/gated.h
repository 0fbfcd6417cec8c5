// The activation of a feed-forward layer, gated (GLU variants: Shazeer, arXiv 2002.05202) or not:
//
//   gate = act(gate) * up, or gate = act(gate)
//   silu(x) = x / (1 + exp(-x)), gelu(x) = x / 2 * (1 + erf(x / sqrt(2))) (arXiv 1606.08415),
//   gelu_tanh(x) = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), relu(x) = max(x, 0)
//
// computed in f32, rounded once.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

enum class GatedActivation : uint8_t { kSilu, kGelu, kGeluTanh, kRelu };

struct GatedArgs {
  GatedActivation activation = GatedActivation::kSilu;
  void* gate = nullptr;      // (n_rows, n_cols) of `type`, read and written
  const void* up = nullptr;  // (n_rows, n_cols) of `type`; null: the activation alone
  int64_t gate_stride = 0;   // elements between rows, multiples of 8; may be 2 * n_cols where one
  int64_t up_stride = 0;     // product gives both
  int32_t n_rows = 0;        // 0: nothing is launched
  int32_t n_cols = 0;        // a multiple of 8
  FloatType type = FloatType::kF16;
};

// 16-byte accesses: rows must be 16-byte aligned. 256 threads a block, no shared memory.
[[nodiscard]] cudaError_t launch_gated(const GatedArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
