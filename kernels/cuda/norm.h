// RMS norm of f32 rows, of all of them or of selected ones:
//
//   out[i] = hidden[row] / sqrt(mean(hidden[row]^2) + eps) * gamma,  row = rows ? rows[i] : i
//
// (Zhang and Sennrich, arXiv 1910.07467.) Squares are summed in f32: thread t of the row's block
// adds up its columns in ascending order, then a fixed tree; so a row's bits depend on the row
// alone.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

struct RmsNormArgs {
  const float* hidden = nullptr;  // (any number of rows, n_cols), contiguous, 16-byte aligned
  const int32_t* rows = nullptr;  // n_rows rows of hidden, in any order; null: the first n_rows
  const float* gamma = nullptr;   // (n_cols), 16-byte aligned
  float eps = 0.0f;
  int32_t n_rows = 0;   // 0: nothing is launched
  int32_t n_cols = 0;   // a multiple of 8
  void* out = nullptr;  // (n_rows, n_cols) of out_type, contiguous, 16-byte aligned
  FloatType out_type = FloatType::kF16;
};

// One block of 256 threads a row, 32 bytes of shared memory. Columns up to 8192 are kept in
// registers (32 a thread); of wider rows the rest is read twice.
[[nodiscard]] cudaError_t launch_rmsnorm(const RmsNormArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
