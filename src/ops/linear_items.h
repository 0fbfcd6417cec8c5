// Inside the products of linear.h and grouped_linear.h: what their items read, and how a product
// is cut into items.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cpu/panel.h"
#include "ops/device.h"
#include "ops/packed_matrix.h"
#include "ops/tensor_view.h"

namespace prefold {

constexpr int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t panels_of(const PackedMatrix& weight) { return div_up(weight.n_out(), kPanelCols); }

// Whether products with such weights take inputs rounded to 8 bits.
bool is_fast(const Device& device, const PackedMatrix& weight);

// How a product is cut: an item has so many panels of one matrix and so many rows at most.
struct Split {
  int32_t item_panels = 1;
  int32_t item_rows = 1;
};

// Panels that an item may have: those of a tile of linear_tiles first.
inline constexpr int32_t kItemPanels[] = {16, 12, 8, 6, 4, 2, 1};

// An item's time, in rows of one panel: its products, for each panel the expansion of its weights
// (as long as a row or two take for every tile of rows), for each row its reading (as long as part
// of a panel takes), and a little for the item itself. tile_panels: of a register tile.
double item_cost(const Split& item, int32_t tile_panels);

// Inputs in 8 bits: row m, chunk c at blocks[c * stride + m]. The stride is odd, so that the
// chunks of a row fall into different lines of the first-level cache.
struct QuantRows {
  QuantBlock* blocks = nullptr;
  int64_t stride = 0;
};

// How scratch is used, each share a multiple of a cache line.
struct ScratchLayout {
  size_t thread_bytes = 0;  // of each thread
  size_t quant_bytes = 0;   // rows in 8 bits
};
ScratchLayout scratch_layout(const Device& device, int32_t n_rows, int32_t n_in);

inline constexpr int64_t kScratchAlignment = 64;
// Without the bytes before the first cache line's start.
std::span<std::byte> aligned_part(std::span<std::byte> scratch);

// What the items of a product read and where their threads work.
struct LinearInputs {
  ConstRows x;
  QuantRows quants;
  std::byte* thread_scratch = nullptr;
  size_t thread_bytes = 0;
};

// Rounds row_of(i) of x, for each i below n_rows, to row i of `to`. row_of empty: i.
QuantRows quantise_rows(const Device& device, const ConstRows& x, int32_t n_rows,
                        std::span<const int32_t> row_of, std::byte* to);

// Rows from `row` and columns from `col` of x W^T; where the output goes, and what is added, is
// the caller's to say.
GemmItem make_item(const LinearInputs& inputs, const PackedMatrix& weight, const Split& split,
                   int64_t row, int64_t col);

void run_item(const Device& device, const LinearInputs& inputs, const PackedMatrix& weight,
              const GemmItem& item, int32_t thread_idx);

}  // namespace prefold
