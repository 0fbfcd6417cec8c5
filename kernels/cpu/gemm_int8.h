// Matrix products of 8-bit inputs with packed quantised weights (panel.h), one item at a time.
//
// Inputs are rounded once per row and group of 32 k: x = scale * q, scale = max|x| * (1 / 127), q
// an integer in [-127, 127], rounded half to even (all 0 where max|x| <= 2^-100). For each of the
// weights' groups of 16 or 32 k, in order:
//   acc = fma(w_scale, scale * float(sum of (w_quant - offset) * q), acc)
//   acc = fma(w_min, scale * float(sum of q), acc)         only if the type has minimums
// The sums are exact integers, so that the bits depend on neither the tile, the item nor the
// instruction set. Bias and old output as in gemm.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/gemm.h"

namespace prefold {

// 32 inputs of one row: a cache line, all of which a tile reads.
struct alignas(64) QuantBlock {
  int8_t quants[32];
  float scale;
  // Over all 32, the first 16 and the last 16 of them:
  int32_t minus_sum[3];  // - sum of q
  float scaled_sum[3];   // scale * float(sum of q)
};
static_assert(sizeof(QuantBlock) == 64);

struct Int8Kernels {
  size_t scratch_bytes;  // of each thread, 64-byte aligned

  // Block k / 32 of the row is written to out[k / 32 * stride]. n_in: a multiple of 32.
  void (*quantise)(const float* x, int32_t n_in, QuantBlock* out, int64_t stride);

  // item.type is quantised; item.quants stands in for item.x.
  void (*run)(const GemmItem& item, std::byte* scratch);
};

}  // namespace prefold
