#include "ops/linear.h"

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "kernels/cpu/panel.h"
#include "ops/linear_items.h"

namespace prefold {
namespace {

constexpr int32_t kTilePanels = kTileCols / kPanelCols;
static_assert(kItemPanels[0] == kTilePanels);

int64_t count_items(std::span<const LinearPart> parts, int32_t n_rows, const Split& split) {
  int64_t n_items = 0;
  for (const LinearPart& part : parts)
    n_items += div_up(panels_of(*part.weight), split.item_panels);
  return n_items * div_up(n_rows, split.item_rows);
}

// The split into items of one of these widths, in panels, that lets the threads end soonest.
// Threads are disturbed and do not end together: half an item is lost to that.
Split choose_split(std::span<const LinearPart> parts, int32_t n_rows,
                   std::span<const int32_t> widths, int32_t tile_panels, int32_t n_threads) {
  Split best;
  double best_cost = 0.0;
  for (const int32_t panels : widths) {
    for (const int32_t cuts : {1, 2, 4}) {
      const int32_t row_blocks = static_cast<int32_t>(div_up(n_rows, kMaxItemRows)) * cuts;
      const Split split{panels, static_cast<int32_t>(div_up(n_rows, row_blocks))};
      const double n_rounds =
          static_cast<double>(div_up(count_items(parts, n_rows, split), n_threads));
      const double cost =
          item_cost(split, tile_panels) * (n_threads > 1 ? n_rounds + 0.5 : n_rounds);
      if (best_cost == 0.0 || cost < best_cost) {
        best = split;
        best_cost = cost;
      }
    }
  }
  return best;
}

LinearInputs prepare_inputs(const Device& device, const ConstRows& x,
                            std::span<const LinearPart> parts, std::span<std::byte> scratch) {
  CHECK(scratch.size() >= linear_scratch_bytes(device, x.n_rows, x.n_cols));
  const ScratchLayout layout = scratch_layout(device, x.n_rows, x.n_cols);
  LinearInputs inputs{x, {}, aligned_part(scratch).data(), layout.thread_bytes};
  const auto fast = [&](const LinearPart& part) { return is_fast(device, *part.weight); };
  if (std::any_of(parts.begin(), parts.end(), fast)) {
    std::byte* const quants =
        inputs.thread_scratch + static_cast<size_t>(device.pool->n_threads()) * layout.thread_bytes;
    inputs.quants = quantise_rows(device, x, x.n_rows, {}, quants);
  }
  return inputs;
}

// The item of a part, of which the same thread probably runs the one n_threads further on next.
GemmItem item_of_part(const LinearInputs& inputs, const LinearPart& part, const Split& split,
                      int64_t row, int64_t col, int32_t n_threads) {
  const PackedMatrix& weight = *part.weight;
  GemmItem item = make_item(inputs, weight, split, row, col);
  item.next_panels += static_cast<size_t>(n_threads * split.item_panels) *
                      panel_bytes(weight.type(), weight.n_in());
  item.bias = part.bias.empty() ? nullptr : part.bias.data() + col;
  item.add_to_out = part.add_to_out;
  return item;
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
  const LinearInputs inputs = prepare_inputs(device, x, parts, scratch);
  device.pool->parallel_for(
      count_items(parts, x.n_rows, split), [&](int64_t item_idx, int32_t thread_idx) {
        int64_t panel_block = item_idx / n_row_blocks;
        const LinearPart* part = parts.data();
        for (;; ++part) {
          const int64_t n_blocks = div_up(panels_of(*part->weight), split.item_panels);
          if (panel_block < n_blocks) break;
          panel_block -= n_blocks;
        }
        const int64_t row = item_idx % n_row_blocks * split.item_rows;
        const int64_t col = panel_block * split.item_panels * kPanelCols;
        GemmItem item = item_of_part(inputs, *part, split, row, col, n_threads);
        item.out = part->out.row(row) + col;
        item.out_stride = part->out.stride;
        run_item(device, inputs, *part->weight, item, thread_idx);
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
  const LinearInputs inputs =
      prepare_inputs(device, x, parts, tiles.subspan(static_cast<size_t>(n_threads) * bytes));
  device.pool->parallel_for(
      count_items(parts, x.n_rows, split), [&](int64_t item_idx, int32_t thread_idx) {
        const int64_t row = item_idx % n_row_blocks * split.item_rows;
        const int64_t col = item_idx / n_row_blocks * split.item_panels * kPanelCols;
        GemmItem item = item_of_part(inputs, part, split, row, col, n_threads);
        const bool all_kept = row + item.n_rows <= kept.n_rows;
        std::byte* const tile = tiles.data() + static_cast<size_t>(thread_idx) * bytes;
        item.out = all_kept ? kept.row(row) + col : reinterpret_cast<float*>(tile);
        item.out_stride = all_kept ? kept.stride : split.item_panels * kPanelCols;
        run_item(device, inputs, weight, item, thread_idx);
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
         kScratchAlignment;
}

size_t linear_tiles_scratch_bytes(const Device& device, int32_t max_rows, int32_t n_in) {
  return linear_scratch_bytes(device, max_rows, n_in) +
         static_cast<size_t>(device.pool->n_threads()) * tile_bytes(max_rows) + kScratchAlignment;
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
