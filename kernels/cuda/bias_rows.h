// Rows of biases, to which cuBLAS then adds a product.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/types.h"

namespace prefold::cuda {

// For each row, by `output`: out = T(bias) (kStore), out = bias (kStoreF32), out += add_scale *
// bias (kAddF32). Blocks of 256 threads, 2 columns each; no shared memory.
struct BiasRowsArgs {
  FloatType type = FloatType::kF16;  // T: kF16 or kBf16
  GemmOutput output = GemmOutput::kStore;
  const float* bias = nullptr;  // n_cols values, 8-byte aligned
  int32_t n_rows = 0;           // > 0
  int32_t n_cols = 0;           // > 0, even
  void* out = nullptr;          // (n_rows, n_cols) of T or f32, 8-byte aligned
  int64_t out_stride = 0;       // in elements, even
  float add_scale = 1.0f;       // with kAddF32
};

[[nodiscard]] cudaError_t launch_bias_rows(const BiasRowsArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
