// The gated activation of a feed-forward layer, SwiGLU (Shazeer, arXiv 2002.05202):
//
//   gate = silu(gate) * up,  silu(x) = x / (1 + exp(-x))
//
// computed in f32, rounded once.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

struct GatedArgs {
  void* gate = nullptr;      // (n_rows, n_cols) of `type`, read and written
  const void* up = nullptr;  // (n_rows, n_cols) of `type`
  int64_t gate_stride = 0;   // elements between rows, multiples of 8; may be 2 * n_cols where one
  int64_t up_stride = 0;     // product gives both
  int32_t n_rows = 0;        // 0: nothing is launched
  int32_t n_cols = 0;        // a multiple of 8
  FloatType type = FloatType::kF16;
};

// 16-byte accesses: rows must be 16-byte aligned. 256 threads a block, no shared memory.
[[nodiscard]] cudaError_t launch_silu_mul(const GatedArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
