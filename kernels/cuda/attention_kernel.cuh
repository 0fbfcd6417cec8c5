// The tensor-core attention kernel; see attention.h for what it computes. One block is one item for
// one KV head: 4 warps of 16 (row, head) pairs each, against tiles of 32 positions. Q stays in
// registers as the A operand; S leaves its product in the layout that the product with V wants as
// its A operand. For head sizes above 128 two warps share 16 pairs: both compute S, each has half
// of the columns of acc.
#pragma once

#include <climits>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/attention_state.cuh"
#include "plan/row_span.h"

namespace prefold::cuda {

inline constexpr int kAttentionThreads = 128;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Where things lie in shared memory: rows of 16-byte pieces, of which neighbours trade places so
// that neither the 8 rows of a matrix that ldmatrix reads, nor the pieces that 8 threads write side
// by side, lie in the same banks. 128 bytes are all banks once.
template <int kHeadDim>
struct AttentionTile {
  static constexpr int kSplit = kHeadDim > 128 ? 2 : 1;  // warps that share their rows
  static constexpr int kRows = attention_tile_rows(FloatType::kF16, kHeadDim);
  static constexpr int kColumns = kHeadDim / kSplit;  // of acc that a warp has
  static constexpr int kPieces = kHeadDim / 8;
  static constexpr int kTileBytes = kKvBlockTokens * kPieces * 16;
  static constexpr int kStageBytes = 2 * kTileBytes;  // K, then V
  static constexpr int kAlignment = 128;              // of stages
  static_assert(kHeadDim % 16 == 0 && kRows == kAttentionThreads / 2 / kSplit);
  static_assert(kRows * kPieces * 16 <= kStageBytes, "Q is staged where K and V go");

  // The largest power of 2, at most 8, that divides kPieces: rows that are 8 / kTraded apart begin
  // in the same bank.
  static constexpr int kTraded = kPieces % 8 == 0 ? 8 : kPieces % 4 == 0 ? 4 : 2;

  static __device__ __forceinline__ uint32_t offset(int row, int piece) {
    piece ^= row / (8 / kTraded) % kTraded;
    return static_cast<uint32_t>(row * kPieces + piece) * 16;
  }

  // From the address of (row, piece), the one of (row + n_rows, piece + n_pieces): n_rows a
  // multiple of 8, n_pieces of 2, piece % kTraded 0 or 1. One or two instructions where the numbers
  // are known to the compiler.
  static __device__ __forceinline__ uint32_t moved(uint32_t address, int n_rows, int n_pieces) {
    const int n_traded = n_pieces % kTraded;
    return (address ^ n_traded * 16) + (n_rows * kPieces + n_pieces - n_traded) * 16;
  }
};

// The two rows of a thread's fragments: row_of(0) = lane / 4 of the warp's 16, row_of(1) = that
// + 8. Sees positions [begin, end) of the item.
struct FragmentRow {
  int32_t row_head;  // (row - item's first row) * n_heads + head; < 0: no such row
  int32_t begin;
  int32_t end;
};

// Positions that some row of the warp sees, and those that all see.
struct WarpView {
  int32_t some_begin, some_end;
  int32_t all_begin, all_end;
};

template <int kColumns>
struct AttentionState {
  float max[2];  // raw scores
  float sum[2];  // this thread's columns only, until the chunk ends
  float acc[kColumns / 8][4];

  __device__ __forceinline__ void clear() {
    max[0] = max[1] = kNoMax;
    sum[0] = sum[1] = 0.0f;
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) acc[n][i] = 0.0f;
    }
  }
};

__device__ __forceinline__ int32_t warp_min(int32_t x) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) x = min(x, __shfl_xor_sync(kAllLanes, x, mask));
  return x;
}

__device__ __forceinline__ FragmentRow fragment_row(const AttentionArgs& args,
                                                    const AttentionItem& item, int32_t kv_head,
                                                    int32_t tile_row) {
  const int32_t n_group = args.n_heads / args.n_kv_heads;
  const int32_t row = tile_row / n_group;
  if (row >= item.n_rows) return {-1, 0, 0};
  const int32_t head = kv_head * n_group + tile_row % n_group;
  const int32_t end = args.positions[item.first_row + row] + 1;
  const int32_t begin = args.window > 0 ? max(0, end - args.window) : 0;
  return {row * args.n_heads + head, begin, min(end, item.end_position)};
}

__device__ __forceinline__ WarpView warp_view(const FragmentRow (&rows)[2]) {
  WarpView view = {INT_MAX, 0, 0, INT_MAX};
#pragma unroll
  for (const FragmentRow& row : rows) {
    if (row.row_head < 0) continue;
    view.some_begin = min(view.some_begin, row.begin);
    view.some_end = max(view.some_end, row.end);
    view.all_begin = max(view.all_begin, row.begin);
    view.all_end = min(view.all_end, row.end);
  }
  return {warp_min(view.some_begin), -warp_min(-view.some_end), -warp_min(-view.all_begin),
          warp_min(view.all_end)};
}

// Q of the block's (row, head) pairs, zeros where there is none.
template <typename T, int kHeadDim>
__device__ __forceinline__ void copy_q(const AttentionArgs& args, const AttentionItem& item,
                                       int32_t kv_head, uint32_t to) {
  using Tile = AttentionTile<kHeadDim>;
  const T* q = static_cast<const T*>(args.q);
  const int32_t n_group = args.n_heads / args.n_kv_heads;
  for (int i = threadIdx.x; i < Tile::kRows * Tile::kPieces; i += kAttentionThreads) {
    const int32_t tile_row = i / Tile::kPieces;
    const int32_t piece = i % Tile::kPieces;
    const int32_t row = tile_row / n_group;
    const int32_t head = kv_head * n_group + tile_row % n_group;
    const bool is_valid = row < item.n_rows;
    const T* from =
        is_valid ? q + (item.first_row + row) * args.q_stride + int64_t{head} * kHeadDim + piece * 8
                 : q;
    copy_async(to + Tile::offset(tile_row, piece), from, is_valid);
  }
}

// Keys and values of 32 positions, of which the first n_valid exist.
template <typename T, int kHeadDim>
__device__ __forceinline__ void copy_kv(const T* k, const T* v, int32_t n_valid, uint32_t to) {
  using Tile = AttentionTile<kHeadDim>;
  constexpr int kTilePieces = kKvBlockTokens * Tile::kPieces;
  constexpr int kRoundRows = kAttentionThreads / Tile::kPieces;  // that all threads copy at once
  constexpr bool kAreRowsAlike = kAttentionThreads % Tile::kPieces == 0 && kRoundRows % 8 == 0;
  const int first_row = threadIdx.x / Tile::kPieces;
  const uint32_t first_offset = Tile::offset(first_row, threadIdx.x % Tile::kPieces);
#pragma unroll
  for (int first = 0; first < kTilePieces; first += kAttentionThreads) {
    const int i = first + threadIdx.x;
    if (kTilePieces % kAttentionThreads != 0 && i >= kTilePieces) break;
    int row = i / Tile::kPieces;
    uint32_t offset;
    if constexpr (kAreRowsAlike) {
      row = first_row + first / Tile::kPieces;
      offset = Tile::moved(first_offset, first / Tile::kPieces, 0);
    } else {
      offset = Tile::offset(row, i % Tile::kPieces);
    }
    copy_async(to + offset, k + i * 8, row < n_valid);
    copy_async(to + Tile::kTileBytes + offset, v + i * 8, row < n_valid);
  }
}

// Where the rows lie that this lane's ldmatrix names, in a tile of K and in one of V.
template <int kHeadDim>
__device__ __forceinline__ uint32_t key_offset() {
  const int lane = threadIdx.x % 32;
  return AttentionTile<kHeadDim>::offset(lane / 16 * 8 + lane % 8, lane / 8 % 2);
}
template <int kHeadDim>
__device__ __forceinline__ uint32_t value_offset(int first_column) {
  const int lane = threadIdx.x % 32;
  return AttentionTile<kHeadDim>::offset(lane % 16, first_column / 8 + lane / 16);
}

// s = q k of the warp's 16 rows and a tile's 32 positions. keys: the tile + key_offset.
template <typename T, int kHeadDim>
__device__ __forceinline__ void multiply_keys(const uint32_t (&q)[kHeadDim / 16][4], uint32_t keys,
                                              float (&s)[4][4]) {
#pragma unroll
  for (int n = 0; n < 4; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) s[n][i] = 0.0f;
  }
#pragma unroll
  for (int step = 0; step < kHeadDim / 16; ++step) {
#pragma unroll
    for (int n = 0; n < 4; n += 2) {
      uint32_t k[4];
      load_matrices(k, AttentionTile<kHeadDim>::moved(keys, n * 8, step * 2));
      multiply_add<T>(s[n], q[step], k[0], k[1]);
      multiply_add<T>(s[n + 1], q[step], k[2], k[3]);
    }
  }
}

// acc += w v, w being rounded to T. values: the tile + value_offset.
template <typename T, int kHeadDim>
__device__ __forceinline__ void multiply_values(
    const float (&w)[4][4], uint32_t values,
    float (&acc)[AttentionTile<kHeadDim>::kColumns / 8][4]) {
#pragma unroll
  for (int step = 0; step < 2; ++step) {
    const uint32_t a[4] = {pack_pair<T>(w[2 * step][0], w[2 * step][1]),
                           pack_pair<T>(w[2 * step][2], w[2 * step][3]),
                           pack_pair<T>(w[2 * step + 1][0], w[2 * step + 1][1]),
                           pack_pair<T>(w[2 * step + 1][2], w[2 * step + 1][3])};
#pragma unroll
    for (int n = 0; n < AttentionTile<kHeadDim>::kColumns / 8; n += 2) {
      uint32_t v[4];
      load_transposed(v, AttentionTile<kHeadDim>::moved(values, step * 16, n));
      multiply_add<T>(acc[n], a, v[0], v[1]);
      multiply_add<T>(acc[n + 1], a, v[2], v[3]);
    }
  }
}

__device__ __forceinline__ void mask_scores(const FragmentRow (&rows)[2], int32_t position,
                                            float (&s)[4][4]) {
  position += threadIdx.x % 4 * 2;
#pragma unroll
  for (int n = 0; n < 4; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int32_t at = position + n * 8 + i % 2;
      if (at < rows[i / 2].begin || at >= rows[i / 2].end) s[n][i] = kNoMax;
    }
  }
}

// Scores to weights relative to the new maximum; takes the state to that maximum.
template <typename T, int kColumns>
__device__ __forceinline__ void apply_softmax(float factor, float (&s)[4][4],
                                              AttentionState<kColumns>& state) {
  float correction[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float max = state.max[r];
#pragma unroll
    for (int n = 0; n < 4; ++n) max = fmaxf(max, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 1));
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 2));
    const float base = max == kNoMax ? 0.0f : __fmul_rn(max, factor);
    // Rounded as base is: exactly 1 if the maximum stays, so that a tile a row sees nothing of
    // leaves its state as it is.
    correction[r] = power_of_two<T>(__fmul_rn(state.max[r], factor) - base);
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
      for (int i = 2 * r; i < 2 * r + 2; ++i) {
        s[n][i] = power_of_two<T>(__fmaf_rn(s[n][i], factor, -base));
        sum = __fadd_rn(sum, s[n][i]);
      }
    }
    state.max[r] = max;
    state.sum[r] = __fmaf_rn(state.sum[r], correction[r], sum);
  }
  // Factors of 1 change no bit.
  if (!__any_sync(kAllLanes, correction[0] != 1.0f || correction[1] != 1.0f)) return;
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) state.acc[n][i] = __fmul_rn(state.acc[n][i], correction[i / 2]);
  }
}

// Ends the chunk: its state goes into the total, whose maxima are in powers of two, and is cleared.
template <typename T, int kColumns>
__device__ __forceinline__ void merge_chunk(float factor, AttentionState<kColumns>& chunk,
                                            AttentionState<kColumns>& total) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float sum = chunk.sum[r];
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 1));
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 2));
    const MergeWeights weights = merge_weights<T>(total.max[r], __fmul_rn(chunk.max[r], factor));
    total.max[r] = weights.max;
    total.sum[r] = merge_value(weights, total.sum[r], sum);
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
      for (int i = 2 * r; i < 2 * r + 2; ++i) {
        total.acc[n][i] = merge_value(weights, total.acc[n][i], chunk.acc[n][i]);
      }
    }
  }
  chunk.clear();
}

// The states as they are, in f32; max and sum by the warp that has the first columns.
template <int kHeadDim>
__device__ __forceinline__ void store_partial(
    const AttentionArgs& args, int32_t partial_row, const FragmentRow (&rows)[2], int first_column,
    const AttentionState<AttentionTile<kHeadDim>::kColumns>& state) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (rows[r].row_head < 0) continue;
    const int64_t at = int64_t{partial_row} * args.n_heads + rows[r].row_head;
    float* acc = args.partial_acc + at * kHeadDim + first_column + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < AttentionTile<kHeadDim>::kColumns / 8; ++n) {
      *reinterpret_cast<float2*>(acc + n * 8) =
          make_float2(state.acc[n][2 * r], state.acc[n][2 * r + 1]);
    }
    if (first_column == 0 && lane % 4 == 0) {
      *reinterpret_cast<float2*>(args.partial_max_sum + at * 2) =
          make_float2(state.max[r], state.sum[r]);
    }
  }
}

// acc / sum in T. The lanes of a row first trade places, so that each has 4 columns that lie side
// by side and a row's 16 columns fill a sector.
template <typename T, int kHeadDim>
__device__ __forceinline__ void store_output(
    const AttentionArgs& args, int32_t first_row, const FragmentRow (&rows)[2], int first_column,
    const AttentionState<AttentionTile<kHeadDim>::kColumns>& state) {
  const int lane = threadIdx.x % 32;
  const int source = lane / 4 * 4 + lane % 2 * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float factor = final_factor(state.sum[r]);
    T* out = static_cast<T*>(args.out) + first_column + lane % 4 * 4;
    if (rows[r].row_head >= 0) {
      const int32_t row = rows[r].row_head / args.n_heads;
      out += (first_row + row) * args.out_stride + rows[r].row_head % args.n_heads * kHeadDim;
    }
#pragma unroll
    for (int n = 0; n < AttentionTile<kHeadDim>::kColumns / 8; n += 2) {
      uint32_t pair[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        pair[i] = pack_pair<T>(__fmul_rn(state.acc[n + i][2 * r], factor),
                               __fmul_rn(state.acc[n + i][2 * r + 1], factor));
      }
      uint2 four;
      const uint32_t low0 = __shfl_sync(kAllLanes, pair[0], source);
      const uint32_t low1 = __shfl_sync(kAllLanes, pair[1], source);
      const uint32_t high0 = __shfl_sync(kAllLanes, pair[0], source + 1);
      const uint32_t high1 = __shfl_sync(kAllLanes, pair[1], source + 1);
      four.x = lane % 4 < 2 ? low0 : low1;
      four.y = lane % 4 < 2 ? high0 : high1;
      if (rows[r].row_head >= 0) *reinterpret_cast<uint2*>(out + n * 8) = four;
    }
  }
}

// n_stages is 2 or 3: tiles in shared memory, all but one of them under way.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_kernel(const __grid_constant__ AttentionArgs args, int32_t n_stages) {
  using Tile = AttentionTile<kHeadDim>;
  extern __shared__ __align__(Tile::kAlignment) unsigned char shared_bytes[];
  const int32_t item_idx = blockIdx.x / args.n_kv_heads;
  const int32_t kv_head = blockIdx.x % args.n_kv_heads;
  if (item_idx >= args.counts->n_items) return;
  const AttentionItem item = args.items[item_idx];

  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warp_row = warp / Tile::kSplit * 16;
  const int first_column = warp % Tile::kSplit * Tile::kColumns;
  const int32_t* block_ids = args.block_ids + item.first_block;
  const uint32_t stages = shared_address(shared_bytes);
  const uint32_t stages_end = stages + n_stages * Tile::kStageBytes;
  const auto next_stage = [&](uint32_t stage) {
    return stage + Tile::kStageBytes == stages_end ? stages : stage + Tile::kStageBytes;
  };
  int32_t next_block = block_ids[item.begin_position / kKvBlockTokens];  // fetched a tile ahead
  const auto copy_tile = [&](int32_t position, uint32_t stage) {
    if (position < item.end_position) {
      const int64_t at =
          (int64_t{next_block} * args.n_kv_heads + kv_head) * (kKvBlockTokens * kHeadDim);
      copy_kv<T, kHeadDim>(static_cast<const T*>(args.k) + at, static_cast<const T*>(args.v) + at,
                           item.end_position - position, stage);
      const int32_t next = position + kKvBlockTokens;
      if (next < item.end_position) next_block = block_ids[next / kKvBlockTokens];
    }
    commit_copies();
  };

  const uint32_t last_stage = stages_end - Tile::kStageBytes;  // free until the first tile is read
  copy_q<T, kHeadDim>(args, item, kv_head, last_stage);
  commit_copies();
  for (int32_t i = 0; i < n_stages - 1; ++i) {
    copy_tile(item.begin_position + i * kKvBlockTokens, stages + i * Tile::kStageBytes);
  }

  const FragmentRow rows[2] = {fragment_row(args, item, kv_head, warp_row + lane / 4),
                               fragment_row(args, item, kv_head, warp_row + lane / 4 + 8)};
  const WarpView view = warp_view(rows);
  if (n_stages == 3) {
    wait_copies<2>();
  } else {
    wait_copies<1>();
  }
  __syncthreads();
  uint32_t q[kHeadDim / 16][4];
#pragma unroll
  for (int step = 0; step < kHeadDim / 16; ++step) {
    load_matrices(q[step], last_stage + Tile::offset(warp_row + lane % 16, step * 2 + lane / 16));
  }

  const bool has_cap = args.soft_cap > 0.0f;
  const float inner_factor = has_cap ? args.scale / args.soft_cap : 1.0f;
  const float factor = (has_cap ? args.soft_cap : args.scale) * 1.4426950408889634f;
  AttentionState<Tile::kColumns> chunk, total;
  chunk.clear();
  total.clear();
  const uint32_t keys = key_offset<kHeadDim>();
  const uint32_t values = Tile::kTileBytes + value_offset<kHeadDim>(first_column);
  uint32_t stage = stages;
  uint32_t free_stage = last_stage;
  for (int32_t position = item.begin_position; position < item.end_position;) {
    if (n_stages == 3) {
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
    copy_tile(position + (n_stages - 1) * kKvBlockTokens, free_stage);
    free_stage = next_stage(free_stage);

    const int32_t end = position + kKvBlockTokens;
    if (position < view.some_end && end > view.some_begin) {
      float s[4][4];
      multiply_keys<T, kHeadDim>(q, stage + keys, s);
      if (has_cap) {
#pragma unroll
        for (int i = 0; i < 16; ++i) s[i / 4][i % 4] = soft_tanh<T>(s[i / 4][i % 4] * inner_factor);
      }
      if (position < view.all_begin || end > view.all_end) mask_scores(rows, position, s);
      apply_softmax<T>(factor, s, chunk);
      multiply_values<T, kHeadDim>(s, stage + values, chunk.acc);
    }
    if (end % kCudaAttentionChunk == 0 || end >= item.end_position) {
      merge_chunk<T>(factor, chunk, total);
    }
    stage = next_stage(stage);
    position = end;
  }

  if (item.partial_row >= 0) {
    store_partial<kHeadDim>(args, item.partial_row, rows, first_column, total);
  } else {
    store_output<T, kHeadDim>(args, item.first_row, rows, first_column, total);
  }
}

}  // namespace prefold::cuda
