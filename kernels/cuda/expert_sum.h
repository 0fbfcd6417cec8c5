// What comes back from the experts of a row, added up.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

// out = the chain over a row's entries, in order, of acc = fma(weight, y, acc) from 0, y being what
// the entry's expert gave; then, if has_shared, of the old out, which the
// shared expert gave, with the weight 1 / (1 + exp(-gate)), or 1.
struct ExpertSumArgs {
  const void* expert_out = nullptr;  // (n_rows * n_used, n_cols) of `type`, by entry
  FloatType type = FloatType::kF16;
  int64_t expert_stride = 0;       // elements between rows, a multiple of 8
  const float* weights = nullptr;  // (n_rows, n_used)
  bool has_shared = false;
  const float* gates = nullptr;  // of row i: gates[i * gate_stride]; null: none
  int64_t gate_stride = 0;
  float* out = nullptr;  // (n_rows, n_cols)
  int64_t out_stride = 0;
  int32_t n_rows = 0;  // 0: nothing is launched
  int32_t n_used = 0;  // at most kMostUsedExperts (expert_routes.h)
  int32_t n_cols = 0;  // a multiple of 8
};

// Rows are 16-byte aligned. 256 threads a block, 4 columns each; no shared memory.
[[nodiscard]] cudaError_t launch_expert_sum(const ExpertSumArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
