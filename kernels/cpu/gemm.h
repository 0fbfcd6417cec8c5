// Matrix products of f32 rows with packed weights (panel.h), one item of work at a time.
//
// out[m][n] = chain over k = 0 .. n_in - 1, in order, of acc = fma(x[m][k], w[n][k], acc) from 0,
// then + bias[n], then + the old out[m][n] if add_to_out. Columns lie in the lanes and k is never
// split among accumulators, so the bits depend on neither the tile, the item nor the instruction
// set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace prefold {

struct QuantBlock;

// Rows one item may have: bounds the scratch an item needs.
inline constexpr int32_t kMaxItemRows = 256;

struct GemmItem {
  TensorType type = TensorType::kF32;
  const std::byte* panels = nullptr;       // the first of ceil(n_cols / 16) panels
  const std::byte* next_panels = nullptr;  // what the same thread may run next: only a hint
  int32_t n_in = 0;
  int32_t n_cols = 0;
  const float* x = nullptr;  // (n_rows, n_in), rows x_stride floats apart
  int64_t x_stride = 0;
  const QuantBlock* quants =
      nullptr;                // the rows in 8 bits, for gemm_int8.h only: row m, chunk c of
  int64_t quants_stride = 0;  // 32 k at quants[c * quants_stride + m]
  int32_t n_rows = 0;         // 1 .. kMaxItemRows
  float* out = nullptr;       // (n_rows, n_cols), rows out_stride floats apart
  int64_t out_stride = 0;
  const float* bias = nullptr;  // n_cols values, or null
  bool add_to_out = false;
};

struct GemmKernels {
  int32_t tile_panels;   // panels that one register tile spans: items should be multiples of it
  size_t scratch_bytes;  // of each thread, 64-byte aligned

  void (*run)(const GemmItem& item, std::byte* scratch);

  // out[k - begin][16] = the weights of one panel in f32, for k in [begin, end); begin is a
  // multiple of 32, end too or n_in. out is 64-byte aligned.
  void (*expand)(TensorType type, const std::byte* panel, int32_t begin, int32_t end, float* out);
};

}  // namespace prefold
