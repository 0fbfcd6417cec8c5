#include "cuda/cuda_step_tables.h"

#include <algorithm>
#include <span>

#include "base/check.h"
#include "cuda/error.h"

namespace prefold::cuda {
namespace {

// Items that a recorded launch of attention provides for: a few rounds of blocks, or three for each
// row (a part of a segment and two chunks of its own). Blocks without an item end at once, but they
// take their time to start. A step with more items keeps the device busy longer than its launches
// take to issue.
int32_t recorded_items(int32_t n_rows, const AttentionShape& shape) {
  constexpr int32_t kRounds = 8;  // of a block for every multiprocessor
  return std::max(3 * n_rows, kRounds * shape.n_sms / shape.n_kv_heads);
}

}  // namespace

namespace {

// Each adapter's rows lie together, and end in at most one tile that is not full.
int32_t most_lora_tiles(int32_t n_rows, int32_t n_adapters) {
  return std::min(n_rows, n_rows / kLoraTileRows + n_adapters);
}

}  // namespace

size_t step_table_bytes(const StepTableLimits& limits) {
  const size_t n_rows = limits.max_rows;
  const auto ints = [](size_t n) { return arena_bytes(n * sizeof(int32_t)); };
  const size_t list_bytes = arena_bytes(limits.attention.n_items * sizeof(AttentionItem)) +
                            arena_bytes(limits.attention.n_merges * sizeof(AttentionMerge)) +
                            ints(limits.attention.n_parts) + arena_bytes(sizeof(AttentionCounts));
  const size_t lora_bytes =
      arena_bytes(most_lora_tiles(limits.max_rows, limits.n_adapters) * sizeof(LoraTile)) + ints(1);
  const size_t kept_bytes = 2 * ints(n_rows) + list_bytes + lora_bytes;
  return lora_bytes + 4 * ints(n_rows) + ints(n_rows * limits.max_blocks_per_span) +
         arena_bytes(limits.max_copies * sizeof(BlockCopy)) + limits.windows.size() * list_bytes +
         kept_bytes;
}

StepTableBuilder::Lists::Lists(const AttentionLimits& limits, int32_t window_of_layers)
    : window(window_of_layers),
      items(limits.n_items),
      merges(limits.n_merges),
      parts(limits.n_parts) {}

StepTableBuilder::StepTableBuilder(const StepTableLimits& limits, DeviceArena& device,
                                   PinnedArena& pinned)
    : limits_(limits),
      scratch_(limits.attention),
      attention_(limits.windows.size() + 1),
      device_(device.take<std::byte>(step_table_bytes(limits))),
      n_bytes_(step_table_bytes(limits)) {
  for (const int32_t window : limits.windows) lists_.emplace_back(limits.attention, window);
  lists_.emplace_back(limits.attention, limits.last_window);
  lora_tiles_.reserve(most_lora_tiles(limits.max_rows, limits.n_adapters));
  for (std::byte*& staging : staging_) staging = pinned.take<std::byte>(n_bytes_);
}

template <class T>
StepTableBuilder::Place<T> StepTableBuilder::take(size_t n) {
  const size_t at = used_;
  used_ += arena_bytes(n * sizeof(T));
  CHECK(used_ <= n_bytes_);
  return {reinterpret_cast<T*>(host_ + at), reinterpret_cast<const T*>(device_ + at)};
}

// Appends a table; returns where it will be on the device.
template <class T>
const T* StepTableBuilder::put(std::span<const T> values) {
  const Place<T> place = take<T>(values.size());
  std::copy(values.begin(), values.end(), place.host);
  return place.device;
}

// Padding rows have 0.
const int32_t* StepTableBuilder::put_rows(const std::vector<int32_t>& values, int32_t n_rows) {
  const Place<int32_t> place = take<int32_t>(n_rows);
  int32_t* const end = std::copy(values.begin(), values.end(), place.host);
  std::fill(end, place.host + n_rows, 0);
  return place.device;
}

const int32_t* StepTableBuilder::put_kv_slots(const StepPlan& plan, int32_t n_rows) {
  const Place<int32_t> slots = take<int32_t>(n_rows);
  std::fill_n(slots.host, n_rows, -1);
  for (const RowSpan& span : plan.spans) {
    for (int32_t i = 0; i < span.n_rows; ++i) {
      const int32_t position = span.first_position + i;
      const int32_t block = plan.block_ids[span.first_block + position / kKvBlockTokens];
      slots.host[span.first_row + i] = block * kKvBlockTokens + position % kKvBlockTokens;
    }
  }
  return slots.device;
}

// Nothing for rows that have none.
LoraTables StepTableBuilder::put_lora_tiles(std::span<const AdapterRows> adapters,
                                            const StepTables& tables) {
  if (adapters.empty()) return {};
  std::vector<LoraTile>& tiles = lora_tiles_;
  tiles.clear();
  for (const AdapterRows& rows : adapters) {
    CHECK(rows.adapter < limits_.n_adapters);
    for (int32_t first = 0; first < rows.n_rows; first += kLoraTileRows) {
      tiles.push_back(
          {rows.first_row + first, std::min(kLoraTileRows, rows.n_rows - first), rows.adapter});
    }
  }
  const auto n_tiles = static_cast<int32_t>(tiles.size());
  const int32_t max_tiles =
      tables.is_replayable ? most_lora_tiles(tables.n_rows, limits_.n_adapters) : n_tiles;
  CHECK(n_tiles <= max_tiles);
  const Place<LoraTile> place = take<LoraTile>(max_tiles);
  std::copy(tiles.begin(), tiles.end(), place.host);
  return {place.device, put(std::span<const int32_t>(&n_tiles, 1)), max_tiles};
}

void StepTableBuilder::plan_lists(std::span<const RowSpan> spans,
                                  std::span<const SharedSegment> segments, Lists& of_window) {
  of_window.lists = {of_window.items, of_window.merges, of_window.parts, {}, 0, 0};
  AttentionShape shape = limits_.attention_shape;
  shape.window = of_window.window;
  plan_attention(spans, segments, shape, limits_.attention, scratch_, of_window.lists);
}

// The lists of attention, and what they index. Where parts and block tables lie the rows do not
// tell: they are found through indexes that count from the begin of all tables.
void StepTableBuilder::put_lists(const StepPlan& plan, StepTables& tables) {
  const size_t n_windows = limits_.windows.size();
  const std::span<Lists> lists =
      std::span(lists_).first(tables.kept.n_rows > 0 ? n_windows + 1 : n_windows);
  for (size_t i = 0; i < lists.size(); ++i) {
    Lists& of_window = lists[i];
    of_window.merge_place = take<AttentionMerge>(attention_[i].most.n_merges);
    of_window.item_place = take<AttentionItem>(attention_[i].most.n_items);
    attention_[i].counts = put(std::span<const AttentionCounts>(&of_window.lists.counts, 1));
    attention_[i].merges = of_window.merge_place.device;
    attention_[i].items = of_window.item_place.device;
  }
  tables.entries = reinterpret_cast<const int32_t*>(device_);
  tables.attention = std::span(attention_).first(n_windows);
  tables.kept.attention = attention_.back();
  const int32_t* block_ids = put(std::span<const int32_t>(plan.block_ids));
  const auto first_block = static_cast<int32_t>(block_ids - tables.entries);
  for (const Lists& of_window : lists) {
    const AttentionLists& from = of_window.lists;
    const int32_t* parts = put(std::span<const int32_t>(from.parts.first(from.n_parts)));
    const auto first_part = static_cast<int32_t>(parts - tables.entries);
    for (int32_t k = 0; k < from.counts.n_merges; ++k) {
      of_window.merge_place.host[k] = from.merges[k];
      of_window.merge_place.host[k].first_part += first_part;
    }
    for (int32_t k = 0; k < from.counts.n_items; ++k) {
      of_window.item_place.host[k] = from.items[k];
      of_window.item_place.host[k].first_block += first_block;
    }
  }
}

// The wanted rows, or the first one where none is: products of no rows there are not.
void StepTableBuilder::put_kept(const StepPlan& plan, std::span<const int32_t> wanted,
                                StepTables& tables) {
  static constexpr int32_t kFirst[] = {0};
  const std::span<const int32_t> rows = wanted.empty() ? std::span(kFirst) : wanted;
  if (tables.is_replayable || std::ssize(rows) == plan.n_rows()) return;
  keep_rows(plan.spans, plan.segments, plan.adapters, rows, kept_);
  plan_lists(kept_.spans, kept_.segments, lists_.back());
  attention_.back().most = lists_.back().lists.counts;
  tables.kept.n_rows = static_cast<int32_t>(rows.size());
  tables.kept.rows = put(rows);
  const Place<int32_t> positions = take<int32_t>(rows.size());
  std::transform(rows.begin(), rows.end(), positions.host,
                 [&](int32_t row) { return plan.positions[row]; });
  tables.kept.positions = positions.device;
  tables.kept.lora = put_lora_tiles(kept_.adapters, tables);
}

StepTables StepTableBuilder::upload(const StepPlan& plan, std::span<const int32_t> wanted,
                                    int32_t n_recorded_rows, int64_t step, cudaStream_t stream) {
  const std::span<Lists> lists = std::span(lists_).first(limits_.windows.size());
  for (Lists& of_window : lists) plan_lists(plan.spans, plan.segments, of_window);
  const int32_t n_recorded_items =
      std::min(recorded_items(n_recorded_rows, limits_.attention_shape), limits_.attention.n_items);
  StepTables tables;
  tables.is_replayable =
      n_recorded_rows > 0 && std::all_of(lists.begin(), lists.end(), [&](const Lists& of_window) {
        return of_window.lists.counts.n_items <= n_recorded_items;
      });
  tables.n_rows = tables.is_replayable ? n_recorded_rows : plan.n_rows();
  for (size_t i = 0; i < lists.size(); ++i) {
    attention_[i].most = tables.is_replayable ? AttentionCounts{n_recorded_items, n_recorded_rows}
                                              : lists[i].lists.counts;
  }
  CHECK(tables.n_rows >= plan.n_rows() && tables.n_rows <= limits_.max_rows);
  host_ = staging_[step % kMaxSteps];
  used_ = 0;
  tables.token_ids = put_rows(plan.token_ids, tables.n_rows);
  tables.input_slots = put_rows(plan.input_slots, tables.n_rows);
  tables.positions = put_rows(plan.positions, tables.n_rows);
  tables.kv_slots = put_kv_slots(plan, tables.n_rows);
  tables.lora = put_lora_tiles(plan.adapters, tables);
  put_kept(plan, wanted, tables);
  put_lists(plan, tables);
  tables.copies = put(std::span<const BlockCopy>(plan.copies));
  check_cuda("copy of the step's tables",
             cudaMemcpyAsync(device_, host_, used_, cudaMemcpyHostToDevice, stream));
  return tables;
}

}  // namespace prefold::cuda
