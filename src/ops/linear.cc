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

constexpr int32_t kTilePanels = kTileCols / kPanelCols;
constexpr int32_t kItemPanels[] = {kTilePanels, 12, 8, 6, 4, 2, 1};  // to choose from

int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t panels_of(const LinearPart& part) { return div_up(part.weight->n_out(), kPanelCols); }

int64_t count_items(std::span<const LinearPart> parts, int32_t n_rows, const Split& split) {
  int64_t n_items = 0;
  for (const LinearPart& part : parts) n_items += div_up(panels_of(part), split.item_panels);
  return n_items * div_up(n_rows, split.item_rows);
}

// The split into items of one of these widths, in panels, that lets the threads end soonest. An
// item's time: its products, for each panel the expansion of its weights (as long as a row or two
// take for every tile of rows), for each row its reading (as long as part of a panel takes), and a
// little for the item itself. Threads are disturbed and do not end together: half an item is lost
// to that.
Split choose_split(std::span<const LinearPart> parts, int32_t n_rows,
                   std::span<const int32_t> widths, int32_t tile_panels, int32_t n_threads) {
  constexpr double kExpandRows = 2.0;
  constexpr double kReadPanels = 0.15;
  constexpr double kItemCost = 1.0;
  constexpr double kNarrowPenalty = 1.2;  // narrower than a register tile
  Split best;
  double best_cost = 0.0;
  for (const int32_t panels : widths) {
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

constexpr int64_t kAlignment = 64;

// Without the bytes before the first cache line's start.
std::span<std::byte> aligned_part(std::span<std::byte> scratch) {
  void* begin = scratch.data();
  size_t n_bytes = scratch.size();
  CHECK(std::align(kAlignment, 0, begin, n_bytes) != nullptr);
  return {static_cast<std::byte*>(begin), n_bytes};
}

// How the scratch is used, each share aligned to a cache line.
struct ScratchLayout {
  size_t thread_bytes = 0;  // of each thread
  size_t quant_bytes = 0;   // rows in 8 bits
};

ScratchLayout scratch_layout(const Device& device, int32_t n_rows, int32_t n_in) {
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

// What the items of a product read and where their threads work.
struct Inputs {
  ConstRows x;
  QuantRows quants;
  std::byte* thread_scratch = nullptr;
  size_t thread_bytes = 0;
};

Inputs prepare_inputs(const Device& device, const ConstRows& x, std::span<const LinearPart> parts,
                      std::span<std::byte> scratch) {
  CHECK(scratch.size() >= linear_scratch_bytes(device, x.n_rows, x.n_cols));
  const ScratchLayout layout = scratch_layout(device, x.n_rows, x.n_cols);
  Inputs inputs{x, {}, aligned_part(scratch).data(), layout.thread_bytes};
  const auto fast = [&](const LinearPart& part) { return is_fast(device, part); };
  if (std::any_of(parts.begin(), parts.end(), fast)) {
    std::byte* const quants =
        inputs.thread_scratch + static_cast<size_t>(device.pool->n_threads()) * layout.thread_bytes;
    inputs.quants = quantise_rows(device, x, quants);
  }
  return inputs;
}

// Rows from `row` and columns from `col` of the part; the output's place is the caller's to add.
GemmItem make_item(const Inputs& inputs, const LinearPart& part, const Split& split, int64_t row,
                   int64_t col, int32_t n_threads) {
  const PackedMatrix& weight = *part.weight;
  const ConstRows& x = inputs.x;
  const size_t bytes = panel_bytes(weight.type(), weight.n_in());
  const int64_t panel = col / kPanelCols;
  GemmItem item;
  item.type = weight.type();
  item.panels = weight.data() + static_cast<size_t>(panel) * bytes;
  item.next_panels = item.panels + static_cast<size_t>(n_threads * split.item_panels) * bytes;
  item.n_in = weight.n_in();
  item.n_cols =
      static_cast<int32_t>(std::min<int64_t>(split.item_panels * kPanelCols, weight.n_out() - col));
  item.x = x.row(row);
  item.x_stride = x.stride;
  item.quants = inputs.quants.blocks + row;
  item.quants_stride = inputs.quants.stride;
  item.n_rows = static_cast<int32_t>(std::min<int64_t>(split.item_rows, x.n_rows - row));
  item.bias = part.bias.empty() ? nullptr : part.bias.data() + col;
  item.add_to_out = part.add_to_out;
  return item;
}

void run_item(const Device& device, const Inputs& inputs, const LinearPart& part,
              const GemmItem& item, int32_t thread_idx) {
  const CpuKernels& kernels = *device.kernels;
  (is_fast(device, part) ? kernels.gemm_int8->run : kernels.gemm->run)(
      item, inputs.thread_scratch + static_cast<size_t>(thread_idx) * inputs.thread_bytes);
}

void apply_rule(const Device& device, const LogitRule& rule, const Rows& out) {
  if (rule.scale == 1.0f && rule.softcap == 0.0f) return;
  const ElementwiseKernels& kernels = *device.kernels->elementwise;
  for (int32_t row = 0; row < out.n_rows; ++row) {
    if (rule.scale != 1.0f) kernels.scale(out.row(row), rule.scale, out.n_cols);
    if (rule.softcap != 0.0f) kernels.softcap(out.row(row), rule.softcap, out.n_cols);
  }
}

// Of the outputs of one item of linear_tiles.
size_t tile_bytes(int32_t n_rows) {
  return static_cast<size_t>(std::min(n_rows, kMaxItemRows)) * kTileCols * sizeof(float);
}

}  // namespace

void linear(const Device& device, ConstRows x, std::span<const LinearPart> parts,
            std::span<std::byte> scratch) {
  for (const LinearPart& part : parts) {
    CHECK(part.weight->n_in() == x.n_cols);
    CHECK(part.out.n_rows == x.n_rows && part.out.n_cols == part.weight->n_out());
    CHECK(part.bias.empty() || part.bias.size() == static_cast<size_t>(part.weight->n_out()));
  }
  if (x.n_rows == 0) return;
  const int32_t n_threads = device.pool->n_threads();
  const Split split =
      choose_split(parts, x.n_rows, kItemPanels, device.kernels->gemm->tile_panels, n_threads);
  const int64_t n_row_blocks = div_up(x.n_rows, split.item_rows);
  const Inputs inputs = prepare_inputs(device, x, parts, scratch);
  device.pool->parallel_for(
      count_items(parts, x.n_rows, split), [&](int64_t item_idx, int32_t thread_idx) {
        int64_t panel_block = item_idx / n_row_blocks;
        const LinearPart* part = parts.data();
        for (;; ++part) {
          const int64_t n_blocks = div_up(panels_of(*part), split.item_panels);
          if (panel_block < n_blocks) break;
          panel_block -= n_blocks;
        }
        const int64_t row = item_idx % n_row_blocks * split.item_rows;
        const int64_t col = panel_block * split.item_panels * kPanelCols;
        GemmItem item = make_item(inputs, *part, split, row, col, n_threads);
        item.out = part->out.row(row) + col;
        item.out_stride = part->out.stride;
        run_item(device, inputs, *part, item, thread_idx);
      });
}

void linear_tiles(const Device& device, ConstRows x, const PackedMatrix& weight,
                  const LogitRule& rule, const Rows& kept, std::span<std::byte> scratch,
                  const LinearTileFn& fn) {
  CHECK(weight.n_in() == x.n_cols);
  CHECK(kept.n_rows <= x.n_rows && (kept.n_rows == 0 || kept.n_cols == weight.n_out()));
  CHECK(rule.bias.empty() || rule.bias.size() == static_cast<size_t>(weight.n_out()));
  CHECK(scratch.size() >= linear_tiles_scratch_bytes(device, x.n_rows, x.n_cols));
  if (x.n_rows == 0) return;
  const int32_t n_threads = device.pool->n_threads();
  const LinearPart part{&weight, rule.bias, {}, false};
  const std::span<const LinearPart> parts(&part, 1);
  const Split split = choose_split(parts, x.n_rows, {&kTilePanels, 1},
                                   device.kernels->gemm->tile_panels, n_threads);
  const int64_t n_row_blocks = div_up(x.n_rows, split.item_rows);
  const std::span<std::byte> tiles = aligned_part(scratch);
  const size_t bytes = tile_bytes(x.n_rows);
  const Inputs inputs =
      prepare_inputs(device, x, parts, tiles.subspan(static_cast<size_t>(n_threads) * bytes));
  device.pool->parallel_for(
      count_items(parts, x.n_rows, split), [&](int64_t item_idx, int32_t thread_idx) {
        const int64_t row = item_idx % n_row_blocks * split.item_rows;
        const int64_t col = item_idx / n_row_blocks * split.item_panels * kPanelCols;
        GemmItem item = make_item(inputs, part, split, row, col, n_threads);
        const bool all_kept = row + item.n_rows <= kept.n_rows;
        std::byte* const tile = tiles.data() + static_cast<size_t>(thread_idx) * bytes;
        item.out = all_kept ? kept.row(row) + col : reinterpret_cast<float*>(tile);
        item.out_stride = all_kept ? kept.stride : split.item_panels * kPanelCols;
        run_item(device, inputs, part, item, thread_idx);
        const Rows out{item.out, item.n_rows, item.n_cols, item.out_stride};
        apply_rule(device, rule, out);
        for (int64_t r = row; !all_kept && r < kept.n_rows; ++r) {
          std::copy_n(out.row(r - row), out.n_cols, kept.row(r) + col);
        }
        fn({static_cast<int32_t>(row), static_cast<int32_t>(col), out}, thread_idx);
      });
}

size_t linear_scratch_bytes(const Device& device, int32_t max_rows, int32_t max_in) {
  const ScratchLayout layout = scratch_layout(device, max_rows, max_in);
  return static_cast<size_t>(device.pool->n_threads()) * layout.thread_bytes + layout.quant_bytes +
         kAlignment;
}

size_t linear_tiles_scratch_bytes(const Device& device, int32_t max_rows, int32_t n_in) {
  return linear_scratch_bytes(device, max_rows, n_in) +
         static_cast<size_t>(device.pool->n_threads()) * tile_bytes(max_rows) + kAlignment;
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
