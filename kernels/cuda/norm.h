// Norms of rows, of all of them or of selected ones, with row = rows ? rows[i] : i:
//
//   RMS norm     y = x / sqrt(mean(x^2) + eps) * weight        (Zhang and Sennrich, arXiv
//   1910.07467) layer norm   y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * weight + bias
//                                                              (Ba et al., arXiv 1607.06450)
//   out[i] = y, or out[i] + scale * y, the sum that ends a block of the network
//
// computed in f32 and rounded once. Thread t of the row's block adds up its columns in ascending
// order, then a fixed tree; so a row's bits depend on the row alone.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

struct NormArgs {
  const void* x = nullptr;  // (any number of rows, n_cols) of in_type, 16-byte aligned
  FloatType in_type = FloatType::kF32;
  int64_t x_stride = 0;           // elements between rows, a multiple of 8
  const int32_t* rows = nullptr;  // n_rows rows of x, in any order; null: the first n_rows
  bool is_layer_norm = false;
  const float* weight = nullptr;  // (n_cols), 16-byte aligned; null: ones
  const float* bias = nullptr;    // (n_cols), 16-byte aligned, of a layer norm; null: none
  float eps = 0.0f;
  int32_t n_rows = 0;       // 0: nothing is launched
  int32_t n_cols = 0;       // a multiple of 8
  bool add_to_out = false;  // out is f32 then
  float scale = 1.0f;       // of what is added
  void* out = nullptr;  // (n_rows, n_cols) of out_type, 16-byte aligned; x itself if of its type
                        // and all rows are taken
  FloatType out_type = FloatType::kF16;
  int64_t out_stride = 0;  // as x_stride
};

// in_type is kF32 or out_type; else cudaErrorInvalidValue. One block of 256 threads a row, 64 bytes
// of shared memory. Columns up to 8192 are kept in registers (32 a thread); of wider rows the rest
// is read again.
[[nodiscard]] cudaError_t launch_norm(const NormArgs& args, cudaStream_t stream);

// The same norms of every head of every row, in place: x is (n_rows, n_heads * head_dim).
struct HeadNormArgs {
  void* x = nullptr;  // of `type`, 16-byte aligned
  FloatType type = FloatType::kF16;
  int64_t stride = 0;  // elements between rows, a multiple of 8
  bool is_layer_norm = false;
  // As NormArgs: head_dim values for all heads, or with is_weight_per_head (n_heads, head_dim).
  const float* weight = nullptr;
  const float* bias = nullptr;
  bool is_weight_per_head = false;
  float eps = 0.0f;
  int32_t n_rows = 0;  // 0: nothing is launched
  int32_t n_heads = 0;
  int32_t head_dim = 0;  // a multiple of 8, at most 256
};

// A warp a head, 256 threads a block, no shared memory.
[[nodiscard]] cudaError_t launch_head_norm(const HeadNormArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
