// Matrix products with packed weights.
//
// With Precision::kExact, each output is one chain of fused multiply-adds over the inputs in index
// order, starting at 0, in f32: acc = fma(x[k], w[k], acc). So its bits depend on the row and the
// column alone, not on the number of rows, the tiles, the threads or the instruction set.
//
// With Precision::kFast, quantised weights meet inputs rounded to 8 bits in groups of 32
// (kernels/cpu/gemm_int8.h); plain float weights have no integer form and are multiplied as above.
// The same bits for every number of rows, tile, thread count and instruction set here too.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ops/device.h"
#include "ops/packed_matrix.h"
#include "ops/tensor_view.h"

namespace prefold {

// A matrix with an optional bias (empty: none).
struct Linear {
  PackedMatrix weight;
  std::vector<float> bias;
};

// y = x W^T (+ bias), or y = y + (x W^T + bias) if add_to_out.
// x: (n_rows, weight.n_in)   out: (n_rows, weight.n_out)   bias: weight.n_out values or empty.
// Any strides give the same bits; padded_stride (tensor_view.h) is read fastest.
struct LinearPart {
  const PackedMatrix* weight = nullptr;
  ConstVec bias;
  Rows out;
  bool add_to_out = false;
};

// Several matrices applied to the same rows in one go (query, key, value; gate, up).
// `scratch` as sized by linear_scratch_bytes, kept by the caller from step to step.
void linear(const Device& device, ConstRows x, std::span<const LinearPart> parts,
            std::span<std::byte> scratch);

// Bytes that linear needs for up to max_rows rows of up to max_in inputs on this device.
size_t linear_scratch_bytes(const Device& device, int32_t max_rows, int32_t max_in);

// Some rows of a product, and of its columns those from a multiple of kTileCols up to the next one
// or the last column.
struct LinearTile {
  int32_t row = 0;
  int32_t col = 0;
  Rows out;  // rows [row, row + out.n_rows), columns [col, col + out.n_cols)
};
inline constexpr int32_t kTileCols = 256;
using LinearTileFn = std::function<void(const LinearTile& tile, int32_t thread_idx)>;

// How products become logits: cap(scale * (x W^T + bias)).
struct LogitRule {
  ConstVec bias;  // weight.n_out values or empty
  float scale = 1.0f;
  float softcap = 0.0f;  // y = cap * tanh(y / cap); 0: none
};

// y = x W^T with the bits of linear, then by the rule. Its first kept.n_rows rows are written to
// `kept`; of the others no more than a tile a thread is in memory. fn is called with each tile,
// also of kept rows, by the thread that has computed it, while it is in that core's cache. Every
// output is in exactly one tile; tiles come in any order, on any thread.
void linear_tiles(const Device& device, ConstRows x, const PackedMatrix& weight,
                  const LogitRule& rule, const Rows& kept, std::span<std::byte> scratch,
                  const LinearTileFn& fn);

size_t linear_tiles_scratch_bytes(const Device& device, int32_t max_rows, int32_t n_in);

// Embedding lookup: out.row(i) = row ids[i] of the unpacked matrix, in f32.
void gather_rows(const Device& device, const PackedMatrix& matrix, std::span<const int32_t> ids,
                 Rows out);

}  // namespace prefold
