// Causal attention over the paged KV cache: prefill chunks, decode rows and shared segments in one
// launch over a list of work items (FlashAttention-2, arXiv 2307.08691; Hydragen, arXiv 2402.05099;
// BatchLLM's horizontal fusion, arXiv 2412.03594; splits as in LeanAttention, arXiv 2405.10480).
//
// An item is a range of query rows against a range of positions; a thread block computes it for one
// KV head. The rows times the query heads that share the KV head are the tile's M dimension, so
// the members of a segment, and the heads of a decode row, fill a tensor-core tile together.
//
// What a row computes is fixed by its position p alone. With c = scale * log2(e), or with a
// soft-cap s = tanh(s * scale / soft_cap) and c = soft_cap * log2(e):
//   Tiles of 32 positions anchored at 0, with a state (max, sum, acc) that starts at (-inf, 0, 0)
//   in every absolute chunk of kCudaAttentionChunk positions. In a tile, over its visible
//   positions: s = q k (f32 accumulation), max' = max(max, s), w = exp2(s * c - max' * c),
//   sum = sum * exp2((max - max') * c) + w, acc likewise, plus w (rounded to T) times v.
//   Chunks are merged in order by merge_weights and merge_value of attention_state.cuh; a chunk
//   without a visible position changes nothing. out = acc / sum.
// So its bits depend on no other row, on no grouping and on no split.
//
// An item that begins at the first visible chunk of its rows may go on over several chunks and
// merges them as it goes. Any other item is one chunk. An item with partial_row < 0 is the only one
// of its rows and writes their output; else it leaves states for launch_attention_merge.
//
// Memory of positions at or past an item's end is never read: zeros take its place. K and V of the
// positions before it must be finite.
//
// Tensor cores: mma.sync m16n8k16 (sm_75: m16n8k8, f16 only), ldmatrix, cp.async (sm_75: plain
// loads) into 2 or 3 stages of K and V tiles of 32 positions in swizzled shared memory. 128
// threads; dynamic shared memory 128 * head_dim bytes a stage (64 KiB for head size 256 at 2
// stages). Registers: no spills for head sizes <= 128.
// Counted on shapes of an 8B model, decode is bound by DRAM, and K and V of a segment are fetched
// once for all members. Prefill is bound by shared memory, at 1.26 times the tensor cores' time on
// A100: a warp has 16 rows, so that each row of K or V that ldmatrix fetches feeds one mma. Twice
// the rows would need 128 registers more than there are for acc of the chunk and of the total.
// kF32 is a plain kernel over the same items, without tensor cores: the `exact` precision.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

// Absolute positions at whose multiples the recurrence starts anew.
inline constexpr int32_t kCudaAttentionChunk = 256;

// (row, head) pairs a tile holds: n_rows * (n_heads / n_kv_heads) of an item is at most this.
constexpr int32_t attention_tile_rows(FloatType type, int32_t head_dim) {
  return type == FloatType::kF32 ? 16 : head_dim > 128 ? 32 : 64;
}

// Rows [first_row, first_row + n_rows) against positions [begin_position, end_position), for every
// KV head. A row sees those of them that are not past its own position, nor outside its window.
struct AttentionItem {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t first_block = 0;     // position p is in block block_ids[first_block + p / 32]
  int32_t begin_position = 0;  // a multiple of kCudaAttentionChunk
  int32_t end_position = 0;    // at least begin_position + 1
  int32_t partial_row = -1;    // of first_row; the next rows' follow
};

// A row whose partial states are parts[first_part .. first_part + n_parts), in order of position.
struct alignas(16) AttentionMerge {
  int32_t row = 0;
  int32_t first_part = 0;
  int32_t n_parts = 0;
  int32_t unused = 0;
};

// In device memory, so that a recorded launch can be replayed with other lists.
struct AttentionCounts {
  int32_t n_items = 0;
  int32_t n_merges = 0;
};

struct AttentionArgs {
  FloatType type = FloatType::kF16;  // of q, the cache and out; kBf16 on sm_80 and later

  // (n_rows, n_heads * head_dim); strides in elements, multiples of 8; aligned to 16 bytes. q is
  // rotated, the KV of the step's rows has been appended. Rows of no item are left alone.
  const void* q = nullptr;
  void* out = nullptr;
  int64_t q_stride = 0;
  int64_t out_stride = 0;
  // This layer's cache: (n_blocks, n_kv_heads, 32, head_dim) each, aligned to 16 bytes.
  const void* k = nullptr;
  const void* v = nullptr;
  const int32_t* positions = nullptr;  // (n_rows)
  const int32_t* block_ids = nullptr;

  // Device memory. As many as counts says are used; the launches provide for max_items and
  // max_merges.
  const AttentionItem* items = nullptr;
  const AttentionMerge* merges = nullptr;
  const int32_t* parts = nullptr;
  const AttentionCounts* counts = nullptr;
  int32_t max_items = 0;
  int32_t max_merges = 0;

  // States of partial rows: acc (n_partial_rows, n_heads, head_dim), aligned to 16 bytes, and
  // (max in powers of two, sum) as pairs (n_partial_rows, n_heads, 2).
  float* partial_acc = nullptr;
  float* partial_max_sum = nullptr;

  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;  // n_heads / n_kv_heads is 1 to 16
  int32_t head_dim = 0;    // 16, 32, 48, 64, 80, 96, 112, 128 or 256
  float scale = 0.0f;      // > 0
  int32_t window = 0;      // a row sees its last `window` positions, its own included; 0: all
  float soft_cap = 0.0f;   // scores become soft_cap * tanh(score / soft_cap); 0: none

  // What a block of this device may have (cudaDevAttrMaxSharedMemoryPerBlockOptin): 64 KiB or more.
  int32_t max_shared_bytes = 0;
};

// Once before the first launch of this type and head size (not while a graph is being recorded):
// raises the kernel's limit of shared memory.
[[nodiscard]] cudaError_t prepare_attention(FloatType type, int32_t head_dim,
                                            int32_t max_shared_bytes);

// cudaErrorInvalidValue: a head size or type that is not among those above.
[[nodiscard]] cudaError_t launch_attention(const AttentionArgs& args, cudaStream_t stream);

// Merges the partial states of the rows that have several and writes their output. A thread has 8
// or 16 columns of a row and head, and walks its parts. No shared memory; 64 registers or fewer.
[[nodiscard]] cudaError_t launch_attention_merge(const AttentionArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
