// What a layer does to single values of rows, where no product does it on the way.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

// Rows of (n_rows, n_cols), n_cols a multiple of 8, strides in elements and multiples of 4; all
// aligned to 16 bytes. 256 threads a block, no shared memory. 0 rows: nothing is launched.

// out = T(x)
struct CopyRowsArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  void* out = nullptr;
  FloatType out_type = FloatType::kF16;  // T
  int64_t out_stride = 0;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
};
[[nodiscard]] cudaError_t launch_copy_rows(const CopyRowsArgs& args, cudaStream_t stream);

// out = out + scale * x
struct AddRowsArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  float scale = 1.0f;
  float* out = nullptr;
  int64_t out_stride = 0;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
};
[[nodiscard]] cudaError_t launch_add_rows(const AddRowsArgs& args, cudaStream_t stream);

// out[c] = x[order[c]] in each row. order: n_cols columns of x; out: not x, of the same type.
struct ReorderColsArgs {
  const void* x = nullptr;
  FloatType type = FloatType::kF16;
  int64_t x_stride = 0;
  const int32_t* order = nullptr;
  void* out = nullptr;
  int64_t out_stride = 0;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
};
[[nodiscard]] cudaError_t launch_reorder_cols(const ReorderColsArgs& args, cudaStream_t stream);

// x[i] = x[rows[i]] for the first n_rows rows, in place. rows: ascending, rows[i] >= i. A thread
// has four columns of all rows; 32 threads a block.
struct KeepRowsArgs {
  void* x = nullptr;
  FloatType type = FloatType::kF16;
  int64_t stride = 0;
  const int32_t* rows = nullptr;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
};
[[nodiscard]] cudaError_t launch_keep_rows(const KeepRowsArgs& args, cudaStream_t stream);

// x = min(max(x, -limit), limit), in place; limit > 0
struct ClipRowsArgs {
  void* x = nullptr;
  FloatType type = FloatType::kF16;
  int64_t stride = 0;
  float limit = 0.0f;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
};
[[nodiscard]] cudaError_t launch_clip_rows(const ClipRowsArgs& args, cudaStream_t stream);

// x = scale * x, then x = cap * tanh(x / cap) unless cap is 0; in place. n_cols may be any number:
// the values behind a row, up to its stride, are changed too.
struct ScaleCapArgs {
  float* x = nullptr;
  int64_t stride = 0;
  float scale = 1.0f;
  float cap = 0.0f;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
};
[[nodiscard]] cudaError_t launch_scale_cap(const ScaleCapArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
