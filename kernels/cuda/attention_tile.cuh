// The attention kernel's tiles in shared memory: their layout, the copies that fill them, and the
// products with them. See attention_kernel.cuh.
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/attention_state.cuh"
#include "plan/row_span.h"

namespace prefold::cuda {

inline constexpr int kAttentionThreads = 128;

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

// Q, then the tiles of an item one after the other, by way of n_stages (2 or 3) stages of shared
// memory: all but the one that is read are under way.
template <typename T, int kHeadDim>
class TilePipeline {
 public:
  using Tile = AttentionTile<kHeadDim>;

  __device__ __forceinline__ TilePipeline(const AttentionArgs& args, const AttentionItem& item,
                                          int32_t kv_head, int32_t n_stages, uint32_t stages)
      : args_(args),
        item_(item),
        kv_head_(kv_head),
        n_stages_(n_stages),
        stages_(stages),
        stages_end_(stages + n_stages * Tile::kStageBytes),
        tile_(stages),
        free_(stages_end_ - Tile::kStageBytes),
        next_block_(block_of(item.begin_position)) {
    copy_q<T, kHeadDim>(args, item, kv_head, free_);  // before the tile that goes there
    commit_copies();
    for (int32_t i = 0; i < n_stages - 1; ++i) {
      copy_tile(item.begin_position + i * kKvBlockTokens, stages + i * Tile::kStageBytes);
    }
  }

  // Where Q is, until the first next_tile.
  __device__ __forceinline__ uint32_t wait_for_q() {
    if (n_stages_ == 3) {
      wait_copies<2>();
    } else {
      wait_copies<1>();
    }
    __syncthreads();
    return free_;
  }

  // Where the tile at `position` is, until the next call, which is for the tile behind it. All
  // threads have read the one before when they call.
  __device__ __forceinline__ uint32_t next_tile(int32_t position) {
    if (n_stages_ == 3) {
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
    copy_tile(position + (n_stages_ - 1) * kKvBlockTokens, free_);
    free_ = behind(free_);
    const uint32_t tile = tile_;
    tile_ = behind(tile_);
    return tile;
  }

 private:
  __device__ __forceinline__ int32_t block_of(int32_t position) const {
    return args_.block_ids[item_.first_block + position / kKvBlockTokens];
  }
  __device__ __forceinline__ uint32_t behind(uint32_t stage) const {
    return stage + Tile::kStageBytes == stages_end_ ? stages_ : stage + Tile::kStageBytes;
  }
  __device__ __forceinline__ void copy_tile(int32_t position, uint32_t to) {
    if (position < item_.end_position) {
      const int64_t at =
          (int64_t{next_block_} * args_.n_kv_heads + kv_head_) * (kKvBlockTokens * kHeadDim);
      copy_kv<T, kHeadDim>(static_cast<const T*>(args_.k) + at, static_cast<const T*>(args_.v) + at,
                           item_.end_position - position, to);
      const int32_t next = position + kKvBlockTokens;
      if (next < item_.end_position) next_block_ = block_of(next);
    }
    commit_copies();
  }

  const AttentionArgs& args_;
  const AttentionItem& item_;
  const int32_t kv_head_;
  const int32_t n_stages_;
  const uint32_t stages_, stages_end_;
  uint32_t tile_;       // that next_tile returns
  uint32_t free_;       // read by all, to be filled
  int32_t next_block_;  // fetched a tile ahead
};

// The A operand of a warp's 16 rows of Q, the first of which is tile_row.
template <int kHeadDim>
__device__ __forceinline__ void load_q(uint32_t from, int tile_row,
                                       uint32_t (&q)[kHeadDim / 16][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < kHeadDim / 16; ++step) {
    load_matrices<0>(
        from + AttentionTile<kHeadDim>::offset(tile_row + lane % 16, step * 2 + lane / 16),
        q[step]);
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
      load_matrices<0>(AttentionTile<kHeadDim>::moved(keys, n * 8, step * 2), k);
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

}  // namespace prefold::cuda
