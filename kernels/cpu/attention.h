// Attention on the CPU: row blocks of queries against tiles of the KV cache. The arithmetic of a
// row is written down in ops/attention.h; the kernels below walk it, they choose none of it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace prefold {

// How K and V are stored. kInt8 has one f32 scale per token and KV head.
enum class KvType { kF32, kF16, kBF16, kInt8 };

// Positions of a tile, and the positions after which the recurrence starts anew.
inline constexpr int32_t kKvTileTokens = 32;
inline constexpr int32_t kAttentionChunk = 2048;
inline constexpr int32_t kTilesPerChunk = kAttentionChunk / kKvTileTokens;

inline constexpr int32_t kMaxHeadDim = 256;
// The most (row, head) pairs of one KV head that a walk takes at once.
inline constexpr int32_t kMaxWalkRows = 96;

// Rows of V and of accumulators are padded to whole vectors; what the pad holds never matters.
inline int32_t padded_head_dim(int32_t head_dim) { return (head_dim + 15) / 16 * 16; }

inline size_t kv_element_bytes(KvType type) {
  return type == KvType::kF32 ? 4 : type == KvType::kInt8 ? 1 : 2;
}

// A tile of K is (head_dim, 32), a tile of V (32, padded_head_dim). With kInt8 they are made of
// quads, so that integer products of four can read them: K (head_dim / 4, 32, 4 dimensions), its
// bytes 128 above their values, V (32 / 4, padded_head_dim, 4 positions); 32 scales follow. Both
// take this many bytes, so that one number sizes K and V.
inline size_t kv_tile_values_bytes(KvType type, int32_t head_dim) {
  return kv_element_bytes(type) * kKvTileTokens * static_cast<size_t>(padded_head_dim(head_dim));
}
inline size_t kv_tile_bytes(KvType type, int32_t head_dim) {
  return kv_tile_values_bytes(type, head_dim) +
         (type == KvType::kInt8 ? kKvTileTokens * sizeof(float) : 0);
}

// The running online softmax of n (row, head) pairs.
struct AttentionState {
  float* max;  // n
  float* sum;  // n
  float* acc;  // (n, padded_head_dim)
};

// n_rows consecutive rows and the n_group heads that share one KV head, against the tiles
// [begin_tile, end_tile) of a sequence. State i belongs to row i / n_group, head i % n_group.
struct AttentionWalk {
  const float* q;  // the first row's first head of the group; heads are contiguous in a row
  int64_t q_stride;
  int32_t n_rows;
  int32_t n_group;  // n_rows * n_group <= kMaxWalkRows
  int32_t head_dim;
  float scale;
  float softcap;  // scores become cap * tanh(score / cap); 0: none

  KvType type;
  const std::byte* k;  // the KV head's tile in block 0; later blocks' follow block_stride apart
  const std::byte* v;
  size_t block_stride;
  const int32_t* block_ids;  // block of tile t: block_ids[t]
  int32_t begin_tile;
  int32_t end_tile;
  // Causal: row i is at position first_position + i, all rows are in the chunk of the last tile.
  // Otherwise every row sees all of the tiles.
  bool causal;
  int32_t first_position;
  // Sliding windows: the first position that each of the n_rows sees; null: 0. From tile
  // end_of_cuts on every row sees all that `causal` lets it see. A row's states are empty, with a
  // maximum of minus infinity, until it sees something.
  const int32_t* first_seen;
  int32_t end_of_cuts;

  // State of the chunk that begin_tile lies in. A walk that begins at a multiple of kTilesPerChunk
  // starts it afresh; wherever it crosses one, and where it begins at one other than 0 unless
  // `detached`, the finished chunk is first merged into `total`.
  AttentionState chunk;
  AttentionState total;
  bool detached;

  // The tile that is likely to be read after this walk, to be fetched meanwhile; null: not known.
  const std::byte* next_k;
  const std::byte* next_v;
};

// n_rows consecutive positions of one sequence inside one block, for one KV head.
struct KvRun {
  const float* k;  // (n_rows, head_dim), the KV head's columns
  const float* v;
  int64_t k_stride;
  int64_t v_stride;
  int32_t n_rows;
  int32_t first;  // the first row's place in the tile
  int32_t head_dim;
  KvType type;
  std::byte* k_tile;
  std::byte* v_tile;
};

using AttentionWalkFn = void (*)(const AttentionWalk& walk);

struct AttentionKernels {
  AttentionWalkFn walk;
  // Adds the finished chunk to the total, for n states; chunk 0 is taken over as it is, and so is
  // the first that is not empty.
  void (*merge)(int32_t chunk_idx, int32_t n, int32_t head_dim, const AttentionState& chunk,
                const AttentionState& total);
  // out (head_dim values) = acc * (1 / sum) of state i.
  void (*finish)(const AttentionState& state, int32_t i, int32_t head_dim, float* out);
  void (*append)(const KvRun& run);
};

}  // namespace prefold
