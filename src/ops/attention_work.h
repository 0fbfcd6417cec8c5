// Cuts one step's attention into work items of similar cost. Where the cuts lie changes the time
// and never a bit of the result.
#pragma once

#include <cstdint>
#include <span>

#include "plan/row_span.h"

namespace prefold {

// The tiles [begin_tile, end_tile) for the rows [first_row, first_row + n_rows), every KV head.
struct AttentionWork {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t first_block = 0;  // block_ids[first_block + t] is tile t
  int32_t begin_tile = 0;
  int32_t end_tile = 0;
  bool causal = false;         // else every row sees all of the tiles
  int32_t first_position = 0;  // of first_row, if causal
  // Rows of the spare states that a split-off chunk runs in, from here on; -1: the rows' own
  // states.
  int32_t spare_row = -1;
  // The rows are done after this: their output can be written.
  bool last = false;
  int64_t cost = 0;
};

// A work of which n_spare chunks run beside it in spare states: when all are done, chunk after
// chunk is merged, the states left behind are those of its last chunk.
struct AttentionSplit {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t spare_row = 0;  // chunk i of the split-off ones: spare_row + i * n_rows
  int32_t n_spare = 0;
  int32_t first_chunk = 0;  // chunk whose finished state the first part left
  bool last = false;
};

// Rows of spare states: how much of a step can be split at chunks.
inline constexpr int32_t kSpareRows = 256;

struct AttentionShape {
  int32_t n_group = 1;  // query heads to a KV head
  int32_t n_kv_heads = 1;
  int32_t n_threads = 1;
  // Sliding windows: their positions, and the first position that each row sees. 0: none.
  int32_t window = 0;
  std::span<const int32_t> first_seen;
};

// The works of one level of segments, or of the spans' own parts. Appends to fixed storage; how
// much is enough for max_rows rows says attention_work_limit.
struct AttentionWorkList {
  std::span<AttentionWork> works;
  std::span<AttentionSplit> splits;
  int32_t n_works = 0;
  int32_t n_splits = 0;
  int32_t n_spare_rows = 0;
};

int32_t attention_work_limit(int32_t max_rows, int32_t n_heads);

// Per span, the tiles that the segments of the levels done so far cover.
struct SegmentCover {
  std::span<int32_t> n_tiles;
  std::span<int32_t> n_levels;
};

// The segments that lie inside `level` others; false if there are none. Their tiles are added to
// `cover`, which must hold what the levels before left there (zeros at first).
bool add_segment_works(std::span<const RowSpan> spans, std::span<const SharedSegment> segments,
                       int32_t level, const AttentionShape& shape, const SegmentCover& cover,
                       AttentionWorkList& list);

// What no segment covers, and the rows see.
void add_own_works(std::span<const RowSpan> spans, const AttentionShape& shape,
                   std::span<const int32_t> n_covered_tiles, AttentionWorkList& list);

// Dearest first, so that the threads end together.
void sort_by_cost(AttentionWorkList& list);

// Of a list so sorted, how many works are worth an item for each KV head. The KV heads of the
// others lie side by side in memory and are better read by one thread.
int32_t n_dear_works(const AttentionWorkList& list, const AttentionShape& shape);

}  // namespace prefold
