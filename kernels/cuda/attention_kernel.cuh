// The tensor-core attention kernel; see attention.h for what it computes. One block is one item for
// one KV head: 4 warps of 16 (row, head) pairs each, against tiles of 32 positions. Q stays in
// registers as the A operand; S leaves its product in the layout that the product with V wants as
// its A operand. For head sizes above 128 two warps share 16 pairs: both compute S, each has half
// of the columns of acc.
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_state.cuh"
#include "kernels/cuda/attention_tile.cuh"

namespace prefold::cuda {

// n_stages is 2 or 3: tiles in shared memory.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kAttentionThreads, 2)
    attention_kernel(const __grid_constant__ AttentionArgs args, int32_t n_stages) {
  using Tile = AttentionTile<kHeadDim>;
  extern __shared__ __align__(Tile::kAlignment) unsigned char shared_bytes[];
  const int32_t item_idx = blockIdx.x / args.n_kv_heads;
  const int32_t kv_head = blockIdx.x % args.n_kv_heads;
  if (item_idx >= args.counts->n_items) return;
  const AttentionItem item = args.items[item_idx];
  TilePipeline<T, kHeadDim> tiles(args, item, kv_head, n_stages, shared_address(shared_bytes));

  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int tile_row = warp / Tile::kSplit * 16;
  const int first_column = warp % Tile::kSplit * Tile::kColumns;
  const FragmentRow rows[2] = {fragment_row(args, item, kv_head, tile_row + lane / 4),
                               fragment_row(args, item, kv_head, tile_row + lane / 4 + 8)};
  const WarpView view = warp_view(rows);
  uint32_t q[kHeadDim / 16][4];
  load_q<kHeadDim>(tiles.wait_for_q(), tile_row, q);

  const bool has_cap = args.soft_cap > 0.0f;
  const float inner_factor = has_cap ? args.scale / args.soft_cap : 1.0f;
  const float factor = (has_cap ? args.soft_cap : args.scale) * 1.4426950408889634f;
  const uint32_t keys = key_offset<kHeadDim>();
  const uint32_t values = Tile::kTileBytes + value_offset<kHeadDim>(first_column);
  AttentionState<Tile::kColumns> chunk, total;
  chunk.clear();
  total.clear();
  for (int32_t position = item.begin_position; position < item.end_position;) {
    const uint32_t tile = tiles.next_tile(position);
    const int32_t end = position + kKvBlockTokens;
    if (position < view.some_end && end > view.some_begin) {
      float s[4][4];
      multiply_keys<T, kHeadDim>(q, tile + keys, s);
      if (has_cap) {
#pragma unroll
        for (int i = 0; i < 16; ++i) s[i / 4][i % 4] = soft_tanh<T>(s[i / 4][i % 4] * inner_factor);
      }
      if (position < view.all_begin || end > view.all_end) mask_scores(rows, position, s);
      apply_softmax<T>(factor, s, chunk);
      multiply_values<T, kHeadDim>(s, tile + values, chunk.acc);
    }
    if (end % kCudaAttentionChunk == 0 || end >= item.end_position) {
      merge_chunk<T>(factor, chunk, total);
    }
    position = end;
  }

  if (item.partial_row >= 0) {
    store_partial<kHeadDim>(args, item.partial_row, rows, first_column, total);
  } else {
    store_output<T, kHeadDim>(args, item.first_row, rows, first_column, total);
  }
}

}  // namespace prefold::cuda
