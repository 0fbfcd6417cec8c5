#include "ops/attention_work.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/attention.h"

namespace prefold {
namespace {

// (row, head) pairs below which a block is not cut: fewer would read a tile more often than they
// use it.
constexpr int32_t kMinWalkRows = 24;

// What fetching a tile costs, in pairs that could be multiplied with it in that time.
constexpr int32_t kTileFetchRows = 6;

// Items a thread should find, so that the last ones are small.
constexpr int32_t kItemsPerThread = 4;

// Rows that see the same tiles: all members of a segment, or one span inside one chunk.
struct Region {
  int32_t first_row;
  int32_t n_rows;
  int32_t first_block;
  int32_t begin_tile;
  int32_t end_tile;  // of the last row
  bool causal;
  int32_t first_position;
  int32_t n_tiles;  // that a block of the rows walks at most
};

// The first tile that one of the rows sees.
int32_t first_seen_tile(const AttentionShape& shape, int32_t first_row, int32_t n_rows) {
  if (shape.window == 0) return 0;
  const auto rows = shape.first_seen.subspan(first_row, n_rows);
  return *std::min_element(rows.begin(), rows.end()) / kKvTileTokens;
}

int64_t cost_of(int64_t n_tiles, int64_t n_pairs) { return n_tiles * (n_pairs + kTileFetchRows); }

int64_t cost_of(const Region& region, const AttentionShape& shape) {
  const int64_t per_block = kMaxWalkRows / shape.n_group;
  const int64_t n_blocks = (region.n_rows + per_block - 1) / per_block;
  return region.n_tiles * (region.n_rows * shape.n_group + n_blocks * kTileFetchRows);
}

// The cost a work should have: each is done once for every KV head.
int64_t target_cost(int64_t total, const AttentionShape& shape) {
  if (shape.n_threads == 1) return total;
  return total * shape.n_kv_heads / (shape.n_threads * kItemsPerThread) + 1;
}

int32_t block_rows(const Region& region, int64_t target, const AttentionShape& shape) {
  const int64_t least = (kMinWalkRows + shape.n_group - 1) / shape.n_group;
  const int64_t most = kMaxWalkRows / shape.n_group;
  const int64_t wanted = (target / region.n_tiles - kTileFetchRows) / shape.n_group;
  const int64_t rows = std::min(std::max(wanted, least), most);
  const int64_t n_blocks = (region.n_rows + rows - 1) / rows;
  return static_cast<int32_t>((region.n_rows + n_blocks - 1) / n_blocks);
}

void push(AttentionWorkList& list, const AttentionWork& work) {
  CHECK(list.n_works < static_cast<int32_t>(list.works.size()));
  list.works[list.n_works++] = work;
}

// Splits the later chunks of `work` off into spare states, as many as there is room for.
void add_split(AttentionWorkList& list, AttentionWork work) {
  const int32_t n_inner = (work.end_tile - 1) / kTilesPerChunk - work.begin_tile / kTilesPerChunk;
  const int32_t n_spare = std::min(n_inner, (kSpareRows - list.n_spare_rows) / work.n_rows);
  if (n_spare == 0) return push(list, work);

  const int32_t first_chunk = (work.end_tile - 1) / kTilesPerChunk - n_spare;
  const AttentionSplit split{work.first_row, work.n_rows, list.n_spare_rows,
                             n_spare,        first_chunk, work.last};
  const int32_t end_tile = work.end_tile;
  const int64_t n_pairs = work.cost / (end_tile - work.begin_tile);
  work.last = false;
  for (int32_t i = 0; i <= n_spare; ++i) {
    work.end_tile = std::min((first_chunk + 1 + i) * kTilesPerChunk, end_tile);
    work.cost = n_pairs * (work.end_tile - work.begin_tile);
    push(list, work);
    work.begin_tile = work.end_tile;
    work.spare_row = list.n_spare_rows + i * work.n_rows;
  }
  list.splits[list.n_splits++] = split;
  list.n_spare_rows += n_spare * work.n_rows;
}

void add_region(AttentionWorkList& list, const Region& region, int64_t target,
                const AttentionShape& shape) {
  const int32_t n_block_rows = block_rows(region, target, shape);
  for (int32_t row = 0; row < region.n_rows; row += n_block_rows) {
    AttentionWork work;
    work.first_row = region.first_row + row;
    work.n_rows = std::min(n_block_rows, region.n_rows - row);
    work.first_block = region.first_block;
    work.begin_tile =
        std::max(region.begin_tile, first_seen_tile(shape, work.first_row, work.n_rows));
    work.end_tile = region.end_tile;
    if (region.causal) {
      work.causal = true;
      work.first_position = region.first_position + row;
      work.end_tile = (work.first_position + work.n_rows - 1) / kKvTileTokens + 1;
      work.last = true;
    }
    if (work.begin_tile >= work.end_tile) continue;  // a segment before the windows of these rows
    work.cost = cost_of(work.end_tile - work.begin_tile, int64_t{work.n_rows} * shape.n_group);
    if (work.cost > target + target / 2) {
      add_split(list, work);
    } else {
      push(list, work);
    }
  }
}

// Calls fn(segment) for the segments that lie inside `level` others, in order.
template <typename Fn>
void for_each_of_level(std::span<const SharedSegment> segments, int32_t level,
                       std::span<int32_t> n_levels, Fn fn) {
  std::fill(n_levels.begin(), n_levels.end(), 0);
  for (const SharedSegment& segment : segments) {
    CHECK(segment.first_span >= 0 && segment.n_spans > 0);
    CHECK(static_cast<size_t>(segment.first_span) + segment.n_spans <= n_levels.size());
    const auto members = n_levels.subspan(segment.first_span, segment.n_spans);
    const int32_t depth = members.front();
    for (int32_t& n : members) ++n;
    if (depth == level) fn(segment);
  }
}

// Calls fn(region) for what no segment covers of each span, cut where the chunk of the rows
// changes.
template <typename Fn>
void for_each_own_region(std::span<const RowSpan> spans, const AttentionShape& shape,
                         std::span<const int32_t> n_covered_tiles, Fn fn) {
  const int32_t most_tiles =
      (shape.window + kMaxWalkRows / shape.n_group) / kKvTileTokens + 2;  // of a block's windows
  for (size_t i = 0; i < spans.size(); ++i) {
    const RowSpan& span = spans[i];
    CHECK(span.first_position >= n_covered_tiles[i] * kKvTileTokens);
    for (int32_t row = 0; row < span.n_rows;) {
      const int32_t position = span.first_position + row;
      const int32_t n_rows =
          std::min(span.n_rows - row, kAttentionChunk - position % kAttentionChunk);
      const int32_t end_tile = (position + n_rows - 1) / kKvTileTokens + 1;
      const int32_t begin_tile =
          std::max(n_covered_tiles[i], first_seen_tile(shape, span.first_row + row, 1));
      const int32_t n_tiles = end_tile - begin_tile;
      fn(Region{span.first_row + row, n_rows, span.first_block, begin_tile, end_tile, true,
                position, shape.window == 0 ? n_tiles : std::min(n_tiles, most_tiles)});
      row += n_rows;
    }
  }
}

// Of no tiles if they lie before all windows.
Region region_of(const SharedSegment& segment, std::span<const RowSpan> spans,
                 const AttentionShape& shape) {
  const RowSpan& first = spans[segment.first_span];
  const RowSpan& last = spans[segment.first_span + segment.n_spans - 1];
  const int32_t n_rows = last.first_row + last.n_rows - first.first_row;
  const int32_t begin_tile = std::clamp(first_seen_tile(shape, first.first_row, n_rows),
                                        segment.begin_block, segment.end_block);
  return {first.first_row,
          n_rows,
          first.first_block,
          begin_tile,
          segment.end_block,
          false,
          0,
          segment.end_block - begin_tile};
}

}  // namespace

int32_t attention_work_limit(int32_t max_rows, int32_t n_heads) {
  // Blocks of at least kMinWalkRows pairs, one smaller one a region, and the split-off chunks.
  const int64_t n_pairs = int64_t{max_rows} * n_heads;
  return static_cast<int32_t>(max_rows + n_pairs / kMinWalkRows + kSpareRows);
}

bool add_segment_works(std::span<const RowSpan> spans, std::span<const SharedSegment> segments,
                       int32_t level, const AttentionShape& shape, const SegmentCover& cover,
                       AttentionWorkList& list) {
  int64_t total = 0;
  bool any = false;
  for_each_of_level(segments, level, cover.n_levels, [&](const SharedSegment& segment) {
    CHECK(segment.begin_block < segment.end_block);
    total += cost_of(region_of(segment, spans, shape), shape);
    any = true;
  });
  if (!any) return false;

  const int64_t target = target_cost(total, shape);
  for_each_of_level(segments, level, cover.n_levels, [&](const SharedSegment& segment) {
    for (int32_t& n_tiles : cover.n_tiles.subspan(segment.first_span, segment.n_spans)) {
      CHECK(n_tiles == segment.begin_block);
      n_tiles = segment.end_block;
    }
    const Region region = region_of(segment, spans, shape);
    if (region.n_tiles > 0) add_region(list, region, target, shape);
  });
  return true;
}

void add_own_works(std::span<const RowSpan> spans, const AttentionShape& shape,
                   std::span<const int32_t> n_covered_tiles, AttentionWorkList& list) {
  int64_t total = 0;
  for_each_own_region(spans, shape, n_covered_tiles,
                      [&](const Region& region) { total += cost_of(region, shape); });
  const int64_t target = target_cost(total, shape);
  for_each_own_region(spans, shape, n_covered_tiles,
                      [&](const Region& region) { add_region(list, region, target, shape); });
}

void sort_by_cost(AttentionWorkList& list) {
  std::sort(list.works.begin(), list.works.begin() + list.n_works,
            [](const AttentionWork& a, const AttentionWork& b) { return a.cost > b.cost; });
}

int32_t n_dear_works(const AttentionWorkList& list, const AttentionShape& shape) {
  if (shape.n_threads == 1) return 0;
  const auto works = list.works.first(list.n_works);
  int64_t total = 0;
  for (const AttentionWork& work : works) total += work.cost;
  const int64_t most = total / (2 * shape.n_threads * kItemsPerThread);
  const auto is_dear = [&](const AttentionWork& work) { return work.cost > most; };
  return static_cast<int32_t>(std::partition_point(works.begin(), works.end(), is_dear) -
                              works.begin());
}

}  // namespace prefold
