#include "ops/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "ops/attention_work.h"

namespace prefold {
namespace {

// States of n_rows rows and all heads, KV head by KV head, so that a block of rows has its states
// side by side.
struct StateSet {
  AttentionState states;
  int32_t n_rows = 0;

  AttentionState of(int32_t kv_head, int32_t row, int32_t n_group, int32_t head_dim) const {
    const int64_t i = (int64_t{kv_head} * n_rows + row) * n_group;
    return {states.max + i, states.sum + i, states.acc + i * padded_head_dim(head_dim)};
  }
};

constexpr size_t kAlignment = 64;

// Hands out the scratch memory piece by piece; with no memory it only counts.
class Carver {
 public:
  explicit Carver(std::span<std::byte> memory) : memory_(memory) {}

  template <typename T>
  std::span<T> take(size_t n) {
    const size_t begin = n_bytes_;
    n_bytes_ += (n * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    if (memory_.empty()) return {};
    CHECK(n_bytes_ <= memory_.size());
    return {reinterpret_cast<T*>(memory_.data() + begin), n};
  }
  size_t n_bytes() const { return n_bytes_; }

 private:
  std::span<std::byte> memory_;
  size_t n_bytes_ = 0;
};

struct Scratch {
  StateSet chunk;
  StateSet total;
  StateSet spare;
  AttentionWorkList list;
  SegmentCover cover;
  std::span<int32_t> first_seen;  // by row
};

StateSet carve_states(Carver& carver, int32_t n_rows, int32_t n_heads, int32_t head_dim) {
  const size_t n = static_cast<size_t>(n_rows) * n_heads;
  StateSet set;
  set.n_rows = n_rows;
  set.states.max = carver.take<float>(n).data();
  set.states.sum = carver.take<float>(n).data();
  set.states.acc = carver.take<float>(n * padded_head_dim(head_dim)).data();
  return set;
}

Scratch carve(Carver& carver, int32_t n_rows, int32_t n_heads, int32_t head_dim) {
  Scratch scratch;
  scratch.chunk = carve_states(carver, n_rows, n_heads, head_dim);
  scratch.total = carve_states(carver, n_rows, n_heads, head_dim);
  scratch.spare = carve_states(carver, kSpareRows, n_heads, head_dim);
  scratch.list.works = carver.take<AttentionWork>(attention_work_limit(n_rows, n_heads));
  scratch.list.splits = carver.take<AttentionSplit>(kSpareRows);
  scratch.cover.n_tiles = carver.take<int32_t>(n_rows);
  scratch.cover.n_levels = carver.take<int32_t>(n_rows);
  scratch.first_seen = carver.take<int32_t>(n_rows);
  return scratch;
}

// One call of attention: what its works have in common.
struct Call {
  const AttentionKernels* kernels;
  AttentionWalkFn walk;
  ConstRows q;
  KvLayer kv;
  std::span<const int32_t> block_ids;
  AttentionRule rule;
  AttentionShape shape;
  StateSet chunk;
  StateSet total;
  StateSet spare;
  Rows out;

  AttentionState of(const StateSet& set, int32_t kv_head, int32_t row) const {
    return set.of(kv_head, row, shape.n_group, kv.head_dim);
  }
};

// The rows have walked all of their positions, the last ones in chunk last_chunk.
void finish_rows(const Call& call, int32_t kv_head, int32_t first_row, int32_t n_rows,
                 int32_t last_chunk) {
  AttentionState state = call.of(call.chunk, kv_head, first_row);
  const int32_t n = n_rows * call.shape.n_group;
  if (last_chunk > 0) {
    const AttentionState total = call.of(call.total, kv_head, first_row);
    call.kernels->merge(last_chunk, n, call.kv.head_dim, state, total);
    state = total;
  }
  for (int32_t i = 0; i < n; ++i) {
    const int32_t head = kv_head * call.shape.n_group + i % call.shape.n_group;
    call.kernels->finish(
        state, i, call.kv.head_dim,
        call.out.row(first_row + i / call.shape.n_group) + int64_t{head} * call.kv.head_dim);
  }
}

// One KV head of a work.
struct WorkHead {
  const AttentionWork* work;
  int32_t kv_head;
};

// `next`: what this thread is likely to run after it; work may be null.
void run_work(const Call& call, WorkHead now, WorkHead next) {
  const AttentionWork& work = *now.work;
  const int32_t kv_head = now.kv_head;
  const size_t tile_bytes = kv_tile_bytes(call.kv.type, call.kv.head_dim);
  const size_t tile_offset = tile_bytes * kv_head;
  const bool detached = work.spare_row >= 0;
  AttentionWalk walk{};
  walk.q = call.q.row(work.first_row) + int64_t{kv_head} * call.shape.n_group * call.kv.head_dim;
  walk.q_stride = call.q.stride;
  walk.n_rows = work.n_rows;
  walk.n_group = call.shape.n_group;
  walk.head_dim = call.kv.head_dim;
  walk.scale = call.rule.scale;
  walk.softcap = call.rule.softcap;
  walk.type = call.kv.type;
  walk.k = call.kv.k + tile_offset;
  walk.v = call.kv.v + tile_offset;
  walk.block_stride = call.kv.block_stride;
  walk.block_ids = call.block_ids.data() + work.first_block;
  walk.begin_tile = work.begin_tile;
  walk.end_tile = work.end_tile;
  walk.causal = work.causal;
  walk.first_position = work.first_position;
  if (call.rule.window > 0) {
    const auto first_seen = call.shape.first_seen.subspan(work.first_row, work.n_rows);
    const int32_t last = *std::max_element(first_seen.begin(), first_seen.end());
    walk.first_seen = first_seen.data();
    walk.end_of_cuts = (last + kKvTileTokens - 1) / kKvTileTokens;
  }
  walk.chunk = detached ? call.of(call.spare, kv_head, work.spare_row)
                        : call.of(call.chunk, kv_head, work.first_row);
  walk.total = call.of(call.total, kv_head, work.first_row);
  walk.detached = detached;
  if (next.work != nullptr) {
    const int32_t block = call.block_ids[next.work->first_block + next.work->begin_tile];
    const size_t offset = call.kv.block_stride * block + tile_bytes * next.kv_head;
    walk.next_k = call.kv.k + offset;
    walk.next_v = call.kv.v + offset;
  }
  call.walk(walk);
  if (work.last) {
    finish_rows(call, kv_head, work.first_row, work.n_rows, (work.end_tile - 1) / kTilesPerChunk);
  }
}

void join_split(const Call& call, const AttentionSplit& split, int32_t kv_head) {
  const int32_t n = split.n_rows * call.shape.n_group;
  const size_t n_acc = static_cast<size_t>(n) * padded_head_dim(call.kv.head_dim);
  const AttentionState chunk = call.of(call.chunk, kv_head, split.first_row);
  const AttentionState total = call.of(call.total, kv_head, split.first_row);
  for (int32_t i = 0; i < split.n_spare; ++i) {
    call.kernels->merge(split.first_chunk + i, n, call.kv.head_dim, chunk, total);
    const AttentionState next = call.of(call.spare, kv_head, split.spare_row + i * split.n_rows);
    std::memcpy(chunk.max, next.max, sizeof(float) * n);
    std::memcpy(chunk.sum, next.sum, sizeof(float) * n);
    std::memcpy(chunk.acc, next.acc, sizeof(float) * n_acc);
  }
  if (split.last) {
    finish_rows(call, kv_head, split.first_row, split.n_rows, split.first_chunk + split.n_spare);
  }
}

// Threads take works in turn, so the next one for this thread is n_threads further on.
void run_all_heads(const Call& call, const AttentionWorkList& list, int64_t work_idx) {
  const AttentionWork* work = &list.works[work_idx];
  const int64_t next_idx = work_idx + call.shape.n_threads;
  const AttentionWork* next = next_idx < list.n_works ? &list.works[next_idx] : nullptr;
  const int32_t last_head = call.shape.n_kv_heads - 1;
  for (int32_t head = 0; head < last_head; ++head) run_work(call, {work, head}, {work, head + 1});
  run_work(call, {work, last_head}, {next, 0});
}

// Runs the list's works, every KV head, and empties it.
void run_list(const Device& device, const Call& call, AttentionWorkList& list) {
  sort_by_cost(list);
  const int32_t n_kv_heads = call.shape.n_kv_heads;
  const int32_t n_dear = n_dear_works(list, call.shape);
  const int64_t n_head_items = int64_t{n_dear} * n_kv_heads;
  const int64_t n_items = n_head_items + list.n_works - n_dear;
  device.pool->parallel_for(n_items, [&](int64_t item, int32_t) {
    if (item < n_head_items) {
      const int32_t kv_head = static_cast<int32_t>(item % n_kv_heads);
      run_work(call, {&list.works[item / n_kv_heads], kv_head}, {});
    } else {
      run_all_heads(call, list, n_dear + item - n_head_items);
    }
  });
  device.pool->parallel_for(int64_t{list.n_splits} * n_kv_heads, [&](int64_t item, int32_t) {
    join_split(call, list.splits[item / n_kv_heads], static_cast<int32_t>(item % n_kv_heads));
  });
  list.n_works = 0;
  list.n_splits = 0;
  list.n_spare_rows = 0;
}

// The first position that each row sees through a window. Rows that do not see position 0 may begin
// inside a chunk, or behind the first one: their states are made empty.
void open_windows(const Device& device, std::span<const RowSpan> spans, int32_t head_dim,
                  const AttentionShape& shape, Scratch& scratch) {
  for (const RowSpan& span : spans) {
    for (int32_t i = 0; i < span.n_rows; ++i) {
      scratch.first_seen[span.first_row + i] =
          std::max(span.first_position + i - shape.window + 1, 0);
    }
  }
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const int32_t n_group = shape.n_group;
  device.pool->parallel_for(shape.n_kv_heads, [&](int64_t item, int32_t) {
    const auto kv_head = static_cast<int32_t>(item);
    for (int32_t row = 0; row < scratch.chunk.n_rows; ++row) {
      if (scratch.first_seen[row] == 0) continue;
      const AttentionState chunk = scratch.chunk.of(kv_head, row, n_group, head_dim);
      std::fill_n(chunk.max, n_group, kLowest);
      std::fill_n(chunk.sum, n_group, 0.0f);
      std::fill_n(chunk.acc, n_group * padded_head_dim(head_dim), 0.0f);
      std::fill_n(scratch.total.of(kv_head, row, n_group, head_dim).max, n_group, kLowest);
    }
  });
}

void check_spans(std::span<const RowSpan> spans, size_t n_block_ids, int32_t n_rows) {
  int32_t next_row = 0;
  for (const RowSpan& span : spans) {
    CHECK(span.first_row == next_row && span.n_rows > 0 && span.first_position >= 0);
    CHECK((span.first_position + span.n_rows - 1) / kKvBlockTokens < span.n_blocks);
    CHECK(span.first_block >= 0 &&
          static_cast<size_t>(span.first_block) + span.n_blocks <= n_block_ids);
    next_row += span.n_rows;
  }
  CHECK(next_row == n_rows);
}

// Appends the rows [first_row, end_row), block by block.
void append_rows(const Device& device, ConstRows k, ConstRows v, std::span<const RowSpan> spans,
                 std::span<const int32_t> block_ids, const KvLayer& kv, int32_t first_row,
                 int32_t end_row) {
  const size_t tile_bytes = kv_tile_bytes(kv.type, kv.head_dim);
  auto span = std::upper_bound(spans.begin(), spans.end(), first_row,
                               [](int32_t row, const RowSpan& s) { return row < s.first_row; }) -
              1;
  for (int32_t row = first_row; row < end_row;) {
    if (row >= span->first_row + span->n_rows) ++span;
    const int32_t position = span->first_position + row - span->first_row;
    const int32_t first = position % kKvBlockTokens;
    const int32_t n_rows =
        std::min({kKvBlockTokens - first, end_row - row, span->first_row + span->n_rows - row});
    const size_t offset =
        kv.block_stride * block_ids[span->first_block + position / kKvBlockTokens];
    for (int32_t head = 0; head < kv.n_kv_heads; ++head) {
      const int64_t column = int64_t{head} * kv.head_dim;
      device.kernels->attention->append(
          {k.row(row) + column, v.row(row) + column, k.stride, v.stride, n_rows, first, kv.head_dim,
           kv.type, kv.k + offset + tile_bytes * head, kv.v + offset + tile_bytes * head});
    }
    row += n_rows;
  }
}

// The first n positions of a tile of V in quads of positions.
void copy_int8_values(const std::byte* from, std::byte* to, int32_t n, int32_t n_columns) {
  const int32_t n_whole = n / 4 * 4 * n_columns;
  std::memcpy(to, from, static_cast<size_t>(n_whole));
  for (int32_t d = 0; d < n_columns; ++d) {
    std::memcpy(to + n_whole + 4 * d, from + n_whole + 4 * d, static_cast<size_t>(n % 4));
  }
}

void copy_tile(const KvLayer& kv, int32_t head, const BlockCopy& copy) {
  CHECK(copy.n_tokens >= 0 && copy.n_tokens <= kKvBlockTokens);
  const size_t tile_bytes = kv_tile_bytes(kv.type, kv.head_dim);
  const size_t source = kv.block_stride * copy.from + tile_bytes * head;
  const size_t target = kv.block_stride * copy.to + tile_bytes * head;
  const int32_t n_columns = padded_head_dim(kv.head_dim);
  const bool in_quads = kv.type == KvType::kInt8;
  const size_t element_bytes = in_quads ? 4 : kv_element_bytes(kv.type);
  const int32_t n_elements = in_quads ? (kv.head_dim + 3) / 4 : kv.head_dim;
  const size_t k_row_bytes = kKvBlockTokens * element_bytes;
  for (int32_t i = 0; i < n_elements; ++i) {
    std::memcpy(kv.k + target + i * k_row_bytes, kv.k + source + i * k_row_bytes,
                copy.n_tokens * element_bytes);
  }
  if (!in_quads) {
    std::memcpy(kv.v + target, kv.v + source, copy.n_tokens * element_bytes * n_columns);
    return;
  }
  copy_int8_values(kv.v + source, kv.v + target, copy.n_tokens, n_columns);
  const size_t scales = kv_tile_values_bytes(kv.type, kv.head_dim);
  std::memcpy(kv.k + target + scales, kv.k + source + scales, copy.n_tokens * sizeof(float));
  std::memcpy(kv.v + target + scales, kv.v + source + scales, copy.n_tokens * sizeof(float));
}

}  // namespace

size_t kv_block_bytes(KvType type, int32_t n_kv_heads, int32_t head_dim) {
  return kv_tile_bytes(type, head_dim) * static_cast<size_t>(n_kv_heads);
}

void kv_append(const Device& device, ConstRows k, ConstRows v, std::span<const RowSpan> spans,
               std::span<const int32_t> block_ids, const KvLayer& kv) {
  CHECK(kv.head_dim > 0 && kv.head_dim <= kMaxHeadDim);
  CHECK(k.n_cols == kv.n_kv_heads * kv.head_dim && v.n_cols == k.n_cols && v.n_rows == k.n_rows);
  check_spans(spans, block_ids.size(), k.n_rows);
  constexpr int32_t kItemRows = 16;
  const int32_t n_items = (k.n_rows + kItemRows - 1) / kItemRows;
  device.pool->parallel_for(n_items, [&](int64_t item, int32_t) {
    const int32_t first_row = static_cast<int32_t>(item) * kItemRows;
    append_rows(device, k, v, spans, block_ids, kv, first_row,
                std::min(first_row + kItemRows, k.n_rows));
  });
}

void kv_copy(const Device& device, std::span<const BlockCopy> copies,
             std::span<const KvLayer> layers) {
  if (copies.empty() || layers.empty()) return;
  const int32_t n_kv_heads = layers.front().n_kv_heads;
  const int64_t n_items = std::ssize(layers) * n_kv_heads;
  device.pool->parallel_for(n_items, [&](int64_t item, int32_t) {
    for (const BlockCopy& copy : copies) {
      copy_tile(layers[item / n_kv_heads], static_cast<int32_t>(item % n_kv_heads), copy);
    }
  });
}

AttentionWalkFn attention_walk(const Device& device, KvType type) {
  const bool integer = device.precision == Precision::kFast && type == KvType::kInt8;
  return integer ? device.kernels->walk_attention_int8 : device.kernels->attention->walk;
}

void attention(const Device& device, ConstRows q, const KvLayer& kv, std::span<const RowSpan> spans,
               std::span<const int32_t> block_ids, std::span<const SharedSegment> segments,
               const AttentionRule& rule, std::span<std::byte> scratch, Rows out) {
  CHECK(kv.head_dim > 0 && kv.head_dim <= kMaxHeadDim);
  const int32_t n_heads = q.n_cols / kv.head_dim;
  AttentionShape shape{
      n_heads / kv.n_kv_heads, kv.n_kv_heads, device.pool->n_threads(), rule.window, {}};
  CHECK(q.n_cols == shape.n_group * kv.n_kv_heads * kv.head_dim);
  CHECK(shape.n_group >= 1 && shape.n_group <= kMaxWalkRows);
  CHECK(out.n_rows == q.n_rows && out.n_cols == q.n_cols);
  check_spans(spans, block_ids.size(), q.n_rows);
  if (q.n_rows == 0) return;

  Carver carver(scratch);
  Scratch s = carve(carver, q.n_rows, n_heads, kv.head_dim);
  if (rule.window > 0) {
    open_windows(device, spans, kv.head_dim, shape, s);
    shape.first_seen = s.first_seen;
  }
  const Call call{device.kernels->attention,
                  attention_walk(device, kv.type),
                  q,
                  kv,
                  block_ids,
                  rule,
                  shape,
                  s.chunk,
                  s.total,
                  s.spare,
                  out};
  const size_t n_spans = spans.size();
  const SegmentCover cover{s.cover.n_tiles.first(n_spans), s.cover.n_levels.first(n_spans)};
  std::fill(cover.n_tiles.begin(), cover.n_tiles.end(), 0);
  // Outer segments before inner ones before each span's own part: a row's states are handed on.
  for (int32_t level = 0; add_segment_works(spans, segments, level, shape, cover, s.list);
       ++level) {
    run_list(device, call, s.list);
  }
  add_own_works(spans, shape, cover.n_tiles, s.list);
  run_list(device, call, s.list);
}

size_t attention_scratch_bytes(const Device&, int32_t max_rows, int32_t n_heads, int32_t head_dim) {
  Carver carver({});
  carve(carver, max_rows, n_heads, head_dim);
  return carver.n_bytes();
}

}  // namespace prefold
