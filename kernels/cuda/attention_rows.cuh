// The attention kernel's rows: what they see, their online softmax, and where their states go. See
// attention_kernel.cuh. A thread has two rows of its warp's 16, lane / 4 and that + 8, and of both
// the columns 8 n + lane % 4 * 2 and the one behind (the layout of an mma's C operand).
#pragma once

#include <climits>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_state.cuh"
#include "kernels/cuda/attention_tile.cuh"

namespace prefold::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

// Sees positions [begin, end) of the item.
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

}  // namespace prefold::cuda
