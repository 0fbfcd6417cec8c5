#include "cuda/attention_plan.h"

#include <algorithm>

#include "base/check.h"

namespace prefold::cuda {
namespace {

// Blocks that a multiprocessor runs side by side.
constexpr int32_t kBlocksPerSm = 2;

// What an item costs beside its tiles: its start, Q, the output.
constexpr int64_t kItemTiles = 2;

constexpr int64_t kChunkTiles = kCudaAttentionChunk / kKvBlockTokens;

int32_t chunk_floor(int32_t position) {
  return position / kCudaAttentionChunk * kCudaAttentionChunk;
}

int32_t ceil_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

int32_t n_chunks(int32_t begin, int32_t end) { return ceil_div(end - begin, kCudaAttentionChunk); }

// Where the first chunk begins that a row at this position sees.
int32_t visible_begin(const AttentionShape& shape, int32_t position) {
  return shape.window > 0 ? chunk_floor(std::max(0, position - shape.window + 1)) : 0;
}

int32_t rows_per_item(const AttentionShape& shape) {
  return shape.tile_rows / (shape.n_heads / shape.n_kv_heads);
}

int64_t cost_of(const AttentionItem& item) {
  return ceil_div(item.end_position - item.begin_position, kKvBlockTokens) + kItemTiles;
}

// What it costs to write and read the states of so many partial rows, in tiles: 8 bytes a column of
// each pair of row and head, where a tile of K and V in 16 bits has 128.
int64_t partial_cost(int64_t n_partial_rows, const AttentionShape& shape) {
  return n_partial_rows * (shape.n_heads / shape.n_kv_heads) / 16;
}

// The part of a span that its rows read by themselves, one item's rows at a time: calls
// fn(item) with positions from `covered`, or the first visible chunk, to the last row's own.
template <typename Fn>
void for_each_own_item(const RowSpan& span, int32_t covered, const AttentionShape& shape, Fn fn) {
  const int32_t most = rows_per_item(shape);
  for (int32_t i = 0; i < span.n_rows; i += most) {
    AttentionItem item;
    item.first_row = span.first_row + i;
    item.n_rows = std::min(most, span.n_rows - i);
    item.first_block = span.first_block;
    item.begin_position = std::max(covered, visible_begin(shape, span.first_position + i));
    item.end_position = span.first_position + i + item.n_rows;
    fn(item);
  }
}

class Planner {
 public:
  Planner(std::span<const RowSpan> spans, const AttentionShape& shape,
          const AttentionLimits& limits, AttentionPlanScratch& scratch, AttentionLists& lists)
      : spans_(spans), shape_(shape), limits_(limits), scratch_(scratch), lists_(lists) {
    lists_.counts = {};
    lists_.n_parts = 0;
    lists_.n_partial_rows = 0;
    std::fill_n(scratch_.covered.begin(), spans.size(), 0);
    std::fill_n(scratch_.n_before.begin(), spans.size(), 0);
  }

  void add_segment(const SharedSegment& segment);
  void add_own_items();
  void split_items();
  void list_parts();
  void sort_by_cost();

 private:
  // Partial rows of a span if so much is covered by so many parts.
  int32_t partial_rows(const RowSpan& span, int32_t covered, int32_t n_before) const;
  void push(const AttentionItem& item);
  // Pushes the item with partial rows, cut into chunks unless its rows have no parts before.
  void push_partial(AttentionItem item, bool is_first);
  void split(AttentionItem& item, int32_t n_first);

  std::span<AttentionItem> items() { return lists_.items.first(lists_.counts.n_items); }

  std::span<const RowSpan> spans_;
  const AttentionShape& shape_;
  const AttentionLimits& limits_;
  AttentionPlanScratch& scratch_;
  AttentionLists& lists_;
  int32_t n_reserved_ = 0;  // partial rows of the segments so far and of their members' own parts
};

int32_t Planner::partial_rows(const RowSpan& span, int32_t covered, int32_t n_before) const {
  if (n_before == 0) return 0;
  int32_t n = span.n_rows * n_before;
  for_each_own_item(span, covered, shape_, [&](const AttentionItem& item) {
    n += item.n_rows * n_chunks(item.begin_position, item.end_position);
  });
  return n;
}

void Planner::push(const AttentionItem& item) {
  CHECK(lists_.counts.n_items < static_cast<int32_t>(lists_.items.size()));
  lists_.items[lists_.counts.n_items++] = item;
}

void Planner::push_partial(AttentionItem item, bool is_first) {
  const int32_t end = item.end_position;
  while (item.begin_position < end) {
    item.end_position = is_first ? end : std::min(end, item.begin_position + kCudaAttentionChunk);
    item.partial_row = lists_.n_partial_rows;
    lists_.n_partial_rows += item.n_rows;
    push(item);
    item.begin_position = item.end_position;
  }
}

void Planner::add_segment(const SharedSegment& segment) {
  const auto members = spans_.subspan(segment.first_span, segment.n_spans);
  const int32_t covered = scratch_.covered[segment.first_span];
  const int32_t n_before = scratch_.n_before[segment.first_span];
  const int32_t end = chunk_floor(segment.end_block * kKvBlockTokens);
  int32_t first_position = members.front().first_position;
  for (const RowSpan& span : members) {
    CHECK(span.first_position >= end);
    first_position = std::min(first_position, span.first_position);
  }
  const int32_t begin = std::max(covered, visible_begin(shape_, first_position));
  if (begin >= end) return;

  const int32_t n_new = n_before > 0 ? n_chunks(begin, end) : 1;
  const int32_t n_item_rows = rows_per_item(shape_);
  const int32_t end_row = members.back().first_row + members.back().n_rows;
  int32_t n_more = 0;
  int64_t n_fewer_items = -ceil_div(end_row - members.front().first_row, n_item_rows);
  for (const RowSpan& span : members) {
    n_fewer_items += ceil_div(span.n_rows, n_item_rows);
    n_more += partial_rows(span, end, n_before + n_new) - partial_rows(span, covered, n_before);
  }
  // Each member reads it by itself, if there is no room for its states, or if members fill tiles
  // by themselves, so that the states would cost more than what is read less often.
  if (n_reserved_ + n_more > limits_.n_partial_rows) return;
  if (n_fewer_items * n_chunks(begin, end) * kChunkTiles < partial_cost(n_more, shape_)) return;
  n_reserved_ += n_more;
  std::fill_n(scratch_.covered.begin() + segment.first_span, segment.n_spans, end);
  std::fill_n(scratch_.n_before.begin() + segment.first_span, segment.n_spans, n_before + n_new);

  AttentionItem item;
  item.first_block = members.front().first_block;
  for (int32_t row = members.front().first_row; row < end_row; row += item.n_rows) {
    item.first_row = row;
    item.n_rows = std::min(n_item_rows, end_row - row);
    item.begin_position = begin;
    item.end_position = end;
    push_partial(item, n_before == 0);
  }
}

void Planner::add_own_items() {
  for (size_t i = 0; i < spans_.size(); ++i) {
    for_each_own_item(spans_[i], scratch_.covered[i], shape_, [&](const AttentionItem& item) {
      if (scratch_.n_before[i] == 0) {
        push(item);
      } else {
        push_partial(item, false);
      }
    });
  }
  CHECK(lists_.n_partial_rows == n_reserved_);
}

// Leaves the first n_first chunks to the item; each of the others becomes an item.
void Planner::split(AttentionItem& item, int32_t n_first) {
  const int32_t n_fit = (limits_.n_partial_rows - lists_.n_partial_rows) / item.n_rows -
                        (item.partial_row < 0 ? 1 : 0);
  n_first = std::max(n_first, n_chunks(item.begin_position, item.end_position) - n_fit);
  AttentionItem rest = item;
  rest.begin_position += n_first * kCudaAttentionChunk;
  if (rest.begin_position >= item.end_position) return;
  item.end_position = rest.begin_position;
  if (item.partial_row < 0) {
    item.partial_row = lists_.n_partial_rows;
    lists_.n_partial_rows += item.n_rows;
  }
  push_partial(rest, false);
}

// Until no item takes much longer than the device would for its share of all, unless the partial
// states would cost more than that. Later chunks of rows that have parts before are items of one
// chunk already.
void Planner::split_items() {
  int64_t total = 0;
  for (const AttentionItem& item : items()) total += cost_of(item);
  const int64_t share = total * shape_.n_kv_heads / (int64_t{shape_.n_sms} * kBlocksPerSm);
  const auto n_first =
      static_cast<int32_t>(std::max<int64_t>(1, (share - kItemTiles) / kChunkTiles));
  const int32_t n_items = lists_.counts.n_items;
  for (int32_t i = 0; i < n_items; ++i) {
    AttentionItem& item = lists_.items[i];
    const int32_t n_parts = n_chunks(item.begin_position, item.end_position) - n_first + 1;
    if (n_parts < 2) continue;
    const int64_t partial_tiles = partial_cost(int64_t{n_parts} * item.n_rows, shape_);
    if (cost_of(item) > share * 3 / 2 + partial_tiles) split(item, n_first);
  }
}

void Planner::list_parts() {
  std::sort(items().begin(), items().end(), [](const AttentionItem& a, const AttentionItem& b) {
    return a.begin_position != b.begin_position ? a.begin_position < b.begin_position
                                                : a.first_row < b.first_row;
  });
  if (spans_.empty()) return;
  const int32_t n_rows = spans_.back().first_row + spans_.back().n_rows;
  const std::span<int32_t> n_parts = std::span(scratch_.n_parts).first(n_rows);
  std::fill(n_parts.begin(), n_parts.end(), 0);
  for (const AttentionItem& item : items()) {
    if (item.partial_row < 0) continue;
    for (int32_t i = 0; i < item.n_rows; ++i) ++n_parts[item.first_row + i];
  }
  for (int32_t row = 0; row < n_rows; ++row) {
    const int32_t n = n_parts[row];
    n_parts[row] = lists_.n_parts;  // from now on, where the row's next part goes
    if (n == 0) continue;
    lists_.merges[lists_.counts.n_merges++] = {row, lists_.n_parts, n, 0};
    lists_.n_parts += n;
  }
  CHECK(lists_.n_parts <= static_cast<int32_t>(lists_.parts.size()));
  for (const AttentionItem& item : items()) {
    if (item.partial_row < 0) continue;
    for (int32_t i = 0; i < item.n_rows; ++i) {
      lists_.parts[n_parts[item.first_row + i]++] = item.partial_row + i;
    }
  }
}

void Planner::sort_by_cost() {
  std::sort(items().begin(), items().end(), [](const AttentionItem& a, const AttentionItem& b) {
    const int64_t cost_a = cost_of(a);
    const int64_t cost_b = cost_of(b);
    if (cost_a != cost_b) return cost_a > cost_b;
    return a.first_row != b.first_row ? a.first_row < b.first_row
                                      : a.begin_position < b.begin_position;
  });
}

}  // namespace

AttentionLimits attention_limits(int32_t max_rows, const AttentionShape& shape) {
  AttentionLimits limits;
  limits.max_rows = max_rows;
  // A segment, two chunks of one's own and a nested segment for every row; for a few rows, chunks
  // for all multiprocessors.
  limits.n_partial_rows = 4 * max_rows + 4 * shape.n_sms;
  // Every item has rows that no other item writes: of the output, or of the partial states.
  limits.n_items = max_rows + limits.n_partial_rows;
  limits.n_merges = max_rows;
  limits.n_parts = limits.n_partial_rows;
  return limits;
}

AttentionPlanScratch::AttentionPlanScratch(const AttentionLimits& limits)
    : covered(limits.max_rows), n_before(limits.max_rows), n_parts(limits.max_rows) {}

void plan_attention(std::span<const RowSpan> spans, std::span<const SharedSegment> segments,
                    const AttentionShape& shape, const AttentionLimits& limits,
                    AttentionPlanScratch& scratch, AttentionLists& lists) {
  CHECK(spans.size() <= scratch.covered.size());
  CHECK(spans.empty() || spans.back().first_row + spans.back().n_rows <= limits.max_rows);
  CHECK(rows_per_item(shape) > 0);
  Planner planner(spans, shape, limits, scratch, lists);
  for (const SharedSegment& segment : segments) planner.add_segment(segment);
  planner.add_own_items();
  planner.split_items();
  planner.list_parts();
  planner.sort_by_cost();
}

}  // namespace prefold::cuda
