#include "ops/grouped_linear.h"

#include <algorithm>

#include "base/check.h"
#include "ops/linear_items.h"

namespace prefold {
namespace {

int32_t rows_of_group(const RowGroups& groups, int32_t group) {
  return groups.first[group + 1] - groups.first[group];
}

// A group's rows, cut into blocks of nearly the same number.
Split split_group(const Split& split, int32_t n_rows) {
  const int64_t n_blocks = div_up(n_rows, split.item_rows);
  return {split.item_panels, static_cast<int32_t>(div_up(n_rows, n_blocks))};
}

// Items of one group over all parts.
int64_t count_items(const RowGroups& groups, std::span<const GroupedPart> parts, int32_t group,
                    const Split& split) {
  int64_t n = 0;
  for (const GroupedPart& part : parts) {
    n += div_up(panels_of(part.weights[groups.matrix[group]].weight), split.item_panels);
  }
  return n * div_up(rows_of_group(groups, group), split.item_rows);
}

// The split that lets the threads end soonest: they share the sum of the items' costs, and what
// they do not end together is half of the largest.
Split choose_split(const Device& device, const RowGroups& groups,
                   std::span<const GroupedPart> parts) {
  const int32_t n_threads = device.pool->n_threads();
  Split best;
  double best_cost = 0.0;
  for (const int32_t panels : kItemPanels) {
    for (const int32_t rows : {kMaxItemRows, kMaxItemRows / 2, kMaxItemRows / 4}) {
      const Split split{panels, rows};
      double sum = 0.0, largest = 0.0;
      for (int32_t g = 0; g < groups.n_groups(); ++g) {
        const int64_t n_items = count_items(groups, parts, g, split);
        if (n_items == 0) continue;
        const Split item = split_group(split, rows_of_group(groups, g));
        const double cost = item_cost(item, device.kernels->gemm->tile_panels);
        sum += cost * static_cast<double>(n_items);
        largest = std::max(largest, cost);
      }
      const double cost = n_threads > 1 ? sum / n_threads + 0.5 * largest : sum;
      if (best_cost == 0.0 || cost < best_cost) {
        best = split;
        best_cost = cost;
      }
    }
  }
  return best;
}

// Scratch: that of items as for linear, then rows gathered in f32, then the first item of each
// group.
struct GroupedLayout {
  ScratchLayout items;
  size_t gathered_bytes = 0;
  size_t first_item_bytes = 0;
};
GroupedLayout grouped_layout(const Device& device, int32_t n_places, int32_t n_in,
                             GroupedRows rows) {
  const int64_t n_firsts = int64_t{n_places} + 1;
  const int64_t n_gathered = rows == GroupedRows::kGathered ? n_places * padded_stride(n_in) : 0;
  return {scratch_layout(device, n_places, n_in), static_cast<size_t>(n_gathered) * sizeof(float),
          static_cast<size_t>(n_firsts) * sizeof(int64_t)};
}

size_t thread_bytes(const Device& device, const ScratchLayout& layout) {
  return static_cast<size_t>(device.pool->n_threads()) * layout.thread_bytes;
}

// The rows of all places one after another.
ConstRows gather(const Device& device, const ConstRows& x, std::span<const int32_t> rows,
                 std::byte* to) {
  const Rows out{reinterpret_cast<float*>(to), static_cast<int32_t>(rows.size()), x.n_cols,
                 padded_stride(x.n_cols)};
  constexpr int64_t kBlockRows = 8;
  device.pool->parallel_for(div_up(out.n_rows, kBlockRows), [&](int64_t block, int32_t) {
    const int64_t end = std::min<int64_t>((block + 1) * kBlockRows, out.n_rows);
    for (int64_t place = block * kBlockRows; place < end; ++place) {
      std::copy_n(x.row(rows[place]), x.n_cols, out.row(place));
    }
  });
  return out;
}

struct Precisions {
  bool any_fast = false, any_exact = false;
};
Precisions precisions_of(const Device& device, const ConstRows& x, const RowGroups& groups,
                         std::span<const GroupedPart> parts) {
  Precisions found;
  for (const GroupedPart& part : parts) {
    CHECK(part.out.n_rows == groups.n_places());
    for (const int32_t matrix : groups.matrix) {
      const PackedMatrix& weight = part.weights[matrix].weight;
      if (weight.n_out() == 0) continue;
      const bool fast = is_fast(device, weight);
      (fast ? found.any_fast : found.any_exact) = true;
      CHECK(fast ? weight.n_in() == x.n_cols && part.first_in == 0
                 : part.first_in + weight.n_in() <= x.n_cols);
      CHECK(weight.n_out() <= part.out.n_cols);
    }
  }
  return found;
}

// Rounding writes rows where they are read from, so that only f32 inputs are gathered by
// themselves.
LinearInputs prepare_inputs(const Device& device, const ConstRows& x, const RowGroups& groups,
                            std::span<const GroupedPart> parts, const GroupedLayout& layout,
                            std::byte* scratch) {
  const Precisions precisions = precisions_of(device, x, groups, parts);
  LinearInputs inputs{x, {}, scratch, layout.items.thread_bytes};
  std::byte* const quants = scratch + thread_bytes(device, layout.items);
  if (precisions.any_fast) {
    inputs.quants = quantise_rows(device, x, groups.n_places(), groups.rows, quants);
  }
  if (precisions.any_exact && !groups.rows.empty()) {
    inputs.x = gather(device, x, groups.rows, quants + layout.items.quant_bytes);
  }
  inputs.x.n_rows = groups.n_places();
  return inputs;
}

// Where an item lies.
struct Place {
  const GroupedPart* part = nullptr;
  const Linear* weights = nullptr;
  int64_t row = 0, end_row = 0;
  int64_t col = 0;
};
Place locate(const RowGroups& groups, std::span<const GroupedPart> parts, const Split& split,
             std::span<const int64_t> first_item, int64_t item_idx) {
  const auto after = std::upper_bound(first_item.begin(), first_item.end(), item_idx);
  const auto group = static_cast<int32_t>(after - first_item.begin()) - 1;
  const int32_t n_rows = rows_of_group(groups, group);
  const int64_t item_rows = split_group(split, n_rows).item_rows;
  const int64_t n_row_blocks = div_up(n_rows, item_rows);
  const int64_t in_group = item_idx - first_item[group];
  int64_t panel_block = in_group / n_row_blocks;
  Place place;
  for (const GroupedPart& part : parts) {
    place.part = &part;
    place.weights = &part.weights[groups.matrix[group]];
    const int64_t n_blocks = div_up(panels_of(place.weights->weight), split.item_panels);
    if (panel_block < n_blocks) break;
    panel_block -= n_blocks;
  }
  place.row = groups.first[group] + in_group % n_row_blocks * item_rows;
  place.end_row = std::min<int64_t>(place.row + item_rows, groups.first[group + 1]);
  place.col = panel_block * split.item_panels * kPanelCols;
  return place;
}

}  // namespace

void grouped_linear(const Device& device, ConstRows x, const RowGroups& groups,
                    std::span<const GroupedPart> parts, std::span<std::byte> scratch) {
  const int32_t n_places = groups.n_places();
  const int32_t n_groups = groups.n_groups();
  CHECK(n_groups == 0 || groups.first.size() == static_cast<size_t>(n_groups) + 1);
  CHECK(groups.rows.empty() ? n_places <= x.n_rows
                            : groups.rows.size() == static_cast<size_t>(n_places));
  const GroupedRows rows = groups.rows.empty() ? GroupedRows::kInPlace : GroupedRows::kGathered;
  CHECK(scratch.size() >= grouped_linear_scratch_bytes(device, n_places, x.n_cols, rows));
  if (n_places == 0) return;
  const GroupedLayout layout = grouped_layout(device, n_places, x.n_cols, rows);
  std::byte* const begin = aligned_part(scratch).data();
  const LinearInputs inputs = prepare_inputs(device, x, groups, parts, layout, begin);
  const Split split = choose_split(device, groups, parts);
  const std::span<int64_t> first_item(
      reinterpret_cast<int64_t*>(begin + thread_bytes(device, layout.items) +
                                 layout.items.quant_bytes + layout.gathered_bytes),
      static_cast<size_t>(n_groups) + 1);
  first_item[0] = 0;
  for (int32_t g = 0; g < n_groups; ++g) {
    CHECK(rows_of_group(groups, g) > 0);
    const Split item = split_group(split, rows_of_group(groups, g));
    first_item[g + 1] = first_item[g] + count_items(groups, parts, g, item);
  }
  device.pool->parallel_for(first_item.back(), [&](int64_t item_idx, int32_t thread_idx) {
    const Place place = locate(groups, parts, split, first_item, item_idx);
    const PackedMatrix& weight = place.weights->weight;
    GemmItem item = make_item(inputs, weight, split, place.row, place.col);
    item.n_rows = static_cast<int32_t>(place.end_row - place.row);
    item.x += place.part->first_in;
    item.bias = place.weights->bias.empty() ? nullptr : place.weights->bias.data() + place.col;
    item.add_to_out = place.part->add_to_out;
    item.out = place.part->out.row(place.row) + place.col;
    item.out_stride = place.part->out.stride;
    run_item(device, inputs, weight, item, thread_idx);
  });
}

size_t grouped_linear_scratch_bytes(const Device& device, int32_t max_places, int32_t max_in,
                                    GroupedRows rows) {
  const GroupedLayout layout = grouped_layout(device, max_places, max_in, rows);
  return thread_bytes(device, layout.items) + layout.items.quant_bytes + layout.gathered_bytes +
         layout.first_item_bytes + kScratchAlignment;
}

}  // namespace prefold
