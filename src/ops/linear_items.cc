#include "ops/linear_items.h"

#include <algorithm>
#include <memory>

#include "base/check.h"

namespace prefold {

bool is_fast(const Device& device, const PackedMatrix& weight) {
  return device.precision == Precision::kFast && panel_format(weight.type()).float_bytes == 0;
}

double item_cost(const Split& item, int32_t tile_panels) {
  constexpr double kExpandRows = 2.0;
  constexpr double kReadPanels = 0.15;
  constexpr double kItemCost = 1.0;
  constexpr double kNarrowPenalty = 1.2;  // narrower than a register tile
  const double width =
      item.item_panels < tile_panels ? item.item_panels * kNarrowPenalty : item.item_panels;
  return (width + kReadPanels) * (item.item_rows + kExpandRows) + kItemCost;
}

static int64_t quant_stride(int32_t n_rows) { return int64_t{n_rows} | 1; }

QuantRows quantise_rows(const Device& device, const ConstRows& x, int32_t n_rows,
                        std::span<const int32_t> row_of, std::byte* to) {
  constexpr int64_t kBlockRows = 8;
  QuantBlock* const blocks = reinterpret_cast<QuantBlock*>(to);
  const int64_t stride = quant_stride(n_rows);
  device.pool->parallel_for(div_up(n_rows, kBlockRows), [&](int64_t block, int32_t) {
    const int64_t end = std::min<int64_t>((block + 1) * kBlockRows, n_rows);
    for (int64_t row = block * kBlockRows; row < end; ++row) {
      const int64_t from = row_of.empty() ? row : row_of[row];
      device.kernels->gemm_int8->quantise(x.row(from), x.n_cols, blocks + row, stride);
    }
  });
  return {blocks, stride};
}

std::span<std::byte> aligned_part(std::span<std::byte> scratch) {
  void* begin = scratch.data();
  size_t n_bytes = scratch.size();
  CHECK(std::align(kScratchAlignment, 0, begin, n_bytes) != nullptr);
  return {static_cast<std::byte*>(begin), n_bytes};
}

ScratchLayout scratch_layout(const Device& device, int32_t n_rows, int32_t n_in) {
  const auto aligned = [](int64_t bytes) {
    return static_cast<size_t>(div_up(bytes, kScratchAlignment) * kScratchAlignment);
  };
  ScratchLayout layout;
  layout.thread_bytes = aligned(static_cast<int64_t>(device.kernels->gemm->scratch_bytes));
  if (device.precision == Precision::kFast) {
    layout.thread_bytes =
        std::max(layout.thread_bytes,
                 aligned(static_cast<int64_t>(device.kernels->gemm_int8->scratch_bytes)));
    layout.quant_bytes =
        static_cast<size_t>(quant_stride(n_rows) * div_up(n_in, kChunkK)) * sizeof(QuantBlock);
  }
  return layout;
}

GemmItem make_item(const LinearInputs& inputs, const PackedMatrix& weight, const Split& split,
                   int64_t row, int64_t col) {
  const ConstRows& x = inputs.x;
  const int64_t panel = col / kPanelCols;
  GemmItem item;
  item.type = weight.type();
  item.panels =
      weight.data() + static_cast<size_t>(panel) * panel_bytes(weight.type(), weight.n_in());
  item.next_panels = item.panels;
  item.n_in = weight.n_in();
  item.n_cols =
      static_cast<int32_t>(std::min<int64_t>(split.item_panels * kPanelCols, weight.n_out() - col));
  item.x = x.row(row);
  item.x_stride = x.stride;
  item.quants = inputs.quants.blocks + row;
  item.quants_stride = inputs.quants.stride;
  item.n_rows = static_cast<int32_t>(std::min<int64_t>(split.item_rows, x.n_rows - row));
  return item;
}

void run_item(const Device& device, const LinearInputs& inputs, const PackedMatrix& weight,
              const GemmItem& item, int32_t thread_idx) {
  const CpuKernels& kernels = *device.kernels;
  (is_fast(device, weight) ? kernels.gemm_int8->run : kernels.gemm->run)(
      item, inputs.thread_scratch + static_cast<size_t>(thread_idx) * inputs.thread_bytes);
}

}  // namespace prefold
