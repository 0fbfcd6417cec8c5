#include "ops/linear.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "kernels/cpu/panel.h"

namespace prefold {
namespace {

// How a product is cut into items: each has some panels of one part and some rows.
struct Split {
  int32_t item_panels = 1;
  int32_t item_rows = 1;
};

int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t panels_of(const LinearPart& part) { return div_up(part.weight->n_out(), kPanelCols); }

int64_t count_items(std::span<const LinearPart> parts, int32_t n_rows, const Split& split) {
  int64_t n_items = 0;
  for (const LinearPart& part : parts) n_items += div_up(panels_of(part), split.item_panels);
  return n_items * div_up(n_rows, split.item_rows);
}

// The split that lets the threads end soonest. An item's time: its products, for each panel the
// expansion of its weights (as long as a row or two take for every tile of rows), for each row its
// reading (as long as part of a panel takes), and a little for the item itself. Threads are
// disturbed and do not end together: half an item is lost to that.
Split choose_split(std::span<const LinearPart> parts, int32_t n_rows, int32_t tile_panels,
                   int32_t n_threads) {
  constexpr double kExpandRows = 2.0;
  constexpr double kReadPanels = 0.15;
  constexpr double kItemCost = 1.0;
  constexpr double kNarrowPenalty = 1.2;  // narrower than a register tile
  Split best;
  double best_cost = 0.0;
  for (const int32_t panels : {16, 12, 8, 6, 4, 2, 1}) {
    for (const int32_t cuts : {1, 2, 4}) {
      const int32_t row_blocks = static_cast<int32_t>(div_up(n_rows, kMaxItemRows)) * cuts;
      const Split split{panels, static_cast<int32_t>(div_up(n_rows, row_blocks))};
      const double width = panels < tile_panels ? panels * kNarrowPenalty : panels;
      const double item_cost = (width + kReadPanels) * (split.item_rows + kExpandRows) + kItemCost;
      const double n_rounds =
          static_cast<double>(div_up(count_items(parts, n_rows, split), n_threads));
      const double cost = item_cost * (n_threads > 1 ? n_rounds + 0.5 : n_rounds);
      if (best_cost == 0.0 || cost < best_cost) {
        best = split;
        best_cost = cost;
      }
    }
  }
  return best;
}

bool is_fast(const Device& device, const LinearPart& part) {
  return device.precision == Precision::kFast && panel_format(part.weight->type()).float_bytes == 0;
}

// Inputs in 8 bits: row m, chunk c at blocks[c * stride + m]. The stride is odd, so that the
// chunks of a row fall into different lines of the first-level cache.
struct QuantRows {
  const QuantBlock* blocks = nullptr;
  int64_t stride = 0;
};

int64_t quant_stride(int32_t n_rows) { return int64_t{n_rows} | 1; }

QuantRows quantise_rows(const Device& device, const ConstRows& x, std::byte* to) {
  constexpr int64_t kBlockRows = 8;
  QuantBlock* const blocks = reinterpret_cast<QuantBlock*>(to);
  const int64_t stride = quant_stride(x.n_rows);
  device.pool->parallel_for(div_up(x.n_rows, kBlockRows), [&](int64_t block, int32_t) {
    const int64_t end = std::min<int64_t>((block + 1) * kBlockRows, x.n_rows);
    for (int64_t row = block * kBlockRows; row < end; ++row) {
      device.kernels->gemm_int8->quantise(x.row(row), x.n_cols, blocks + row, stride);
    }
  });
  return {blocks, stride};
}

// How the scratch is used, each share aligned to a cache line.
struct ScratchLayout {
  size_t thread_bytes = 0;  // of each thread
  size_t quant_bytes = 0;   // rows in 8 bits
};

ScratchLayout scratch_layout(const Device& device, int32_t n_rows, int32_t n_in) {
  constexpr int64_t kAlignment = 64;
  const auto aligned = [](int64_t bytes) {
    return static_cast<size_t>(div_up(bytes, kAlignment) * kAlignment);
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

GemmItem make_item(const ConstRows& x, const QuantRows& quants, const LinearPart& part,
                   const Split& split, int64_t panel_block, int64_t row_block, int32_t n_threads) {
  const PackedMatrix& weight = *part.weight;
  const size_t bytes = panel_bytes(weight.type(), weight.n_in());
  const int64_t panel = panel_block * split.item_panels;
  const int64_t col = panel * kPanelCols;
  const int64_t row = row_block * split.item_rows;
  GemmItem item;
  item.type = weight.type();
  item.panels = weight.data() + static_cast<size_t>(panel) * bytes;
  item.next_panels = item.panels + static_cast<size_t>(n_threads * split.item_panels) * bytes;
  item.n_in = weight.n_in();
  item.n_cols =
      static_cast<int32_t>(std::min<int64_t>(split.item_panels * kPanelCols, weight.n_out() - col));
  item.x = x.row(row);
  item.x_stride = x.stride;
  item.quants = quants.blocks + row;
  item.quants_stride = quants.stride;
  item.n_rows = static_cast<int32_t>(std::min<int64_t>(split.item_rows, x.n_rows - row));
  item.out = part.out.row(row) + col;
  item.out_stride = part.out.stride;
  item.bias = part.bias.empty() ? nullptr : part.bias.data() + col;
  item.add_to_out = part.add_to_out;
  return item;
}

}  // namespace

void linear(const Device& device, ConstRows x, std::span<const LinearPart> parts,
            std::span<std::byte> scratch) {
  for (const LinearPart& part : parts) {
    CHECK(part.weight->n_in() == x.n_cols);
    CHECK(part.out.n_rows == x.n_rows && part.out.n_cols == part.weight->n_out());
    CHECK(part.bias.empty() || part.bias.size() == static_cast<size_t>(part.weight->n_out()));
  }
  CHECK(scratch.size() >= linear_scratch_bytes(device, x.n_rows, x.n_cols));
  if (x.n_rows == 0) return;
  const CpuKernels& kernels = *device.kernels;
  const Split split =
      choose_split(parts, x.n_rows, kernels.gemm->tile_panels, device.pool->n_threads());
  const int64_t n_row_blocks = div_up(x.n_rows, split.item_rows);
  const ScratchLayout layout = scratch_layout(device, x.n_rows, x.n_cols);
  const size_t thread_bytes = layout.thread_bytes;
  void* aligned = scratch.data();
  size_t space = scratch.size();
  std::align(64, thread_bytes, aligned, space);
  std::byte* const base = static_cast<std::byte*>(aligned);
  const auto fast = [&](const LinearPart& part) { return is_fast(device, part); };
  QuantRows quants;
  if (std::any_of(parts.begin(), parts.end(), fast)) {
    quants = quantise_rows(device, x,
                           base + static_cast<size_t>(device.pool->n_threads()) * thread_bytes);
  }

  device.pool->parallel_for(
      count_items(parts, x.n_rows, split), [&](int64_t item_idx, int32_t thread_idx) {
        const int64_t row_block = item_idx % n_row_blocks;
        int64_t panel_block = item_idx / n_row_blocks;
        const LinearPart* part = parts.data();
        for (;; ++part) {
          const int64_t n_blocks = div_up(panels_of(*part), split.item_panels);
          if (panel_block < n_blocks) break;
          panel_block -= n_blocks;
        }
        const GemmItem item =
            make_item(x, quants, *part, split, panel_block, row_block, device.pool->n_threads());
        (fast(*part) ? kernels.gemm_int8->run : kernels.gemm->run)(
            item, base + static_cast<size_t>(thread_idx) * thread_bytes);
      });
}

size_t linear_scratch_bytes(const Device& device, int32_t max_rows, int32_t max_in) {
  const ScratchLayout layout = scratch_layout(device, max_rows, max_in);
  return static_cast<size_t>(device.pool->n_threads()) * layout.thread_bytes + layout.quant_bytes +
         64;
}

void gather_rows(const Device& device, const PackedMatrix& matrix, std::span<const int32_t> ids,
                 Rows out) {
  CHECK(out.n_rows == static_cast<int32_t>(ids.size()) && out.n_cols == matrix.n_in());
  for (const int32_t id : ids) CHECK(id >= 0 && id < matrix.n_out());
  const size_t bytes = panel_bytes(matrix.type(), matrix.n_in());
  device.pool->parallel_for(static_cast<int64_t>(ids.size()), [&](int64_t row, int32_t) {
    const int32_t id = ids[static_cast<size_t>(row)];
    const std::byte* panel = matrix.data() + static_cast<size_t>(id / kPanelCols) * bytes;
    alignas(64) float expanded[kChunkK * kPanelCols];
    float* to = out.row(row);
    for (int32_t begin = 0; begin < matrix.n_in(); begin += kChunkK) {
      const int32_t end = std::min(begin + kChunkK, matrix.n_in());
      device.kernels->gemm->expand(matrix.type(), panel, begin, end, expanded);
      for (int32_t k = begin; k < end; ++k) {
        to[k] = expanded[(k - begin) * kPanelCols + id % kPanelCols];
      }
    }
  });
}

}  // namespace prefold
