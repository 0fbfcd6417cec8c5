// Attention in f32 without tensor cores. A warp has 4 (row, head) pairs; a lane has one position of
// a tile in the product with K, and every 32nd column in the product with V.
#include "kernels/cuda/attention_dispatch.cuh"
#include "kernels/cuda/attention_state.cuh"
#include "plan/row_span.h"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 128;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kTileRows = attention_tile_rows(FloatType::kF32, 16);
constexpr int kWarpRows = kTileRows / (kThreads / 32);

// Rows of K one piece longer than they are, so that lanes that read one column of 32 rows find it
// in different banks.
template <int kHeadDim>
constexpr int kKeyStride = kHeadDim + 4;
template <int kHeadDim>
constexpr int kSharedBytes = (kTileRows * kHeadDim + kKvBlockTokens * kKeyStride<kHeadDim>)*4;

template <int kHeadDim>
struct RowState {
  static constexpr int kColumns = (kHeadDim + 31) / 32;
  float max = kNoMax;  // in powers of two
  float sum = 0.0f;
  float acc[kColumns] = {};
};

struct ExactRow {
  int32_t row_head = -1;  // as FragmentRow of attention_kernel.cuh
  int32_t begin = 0;
  int32_t end = 0;
};

__device__ ExactRow exact_row(const AttentionArgs& args, const AttentionItem& item, int32_t kv_head,
                              int32_t tile_row) {
  const int32_t n_group = args.n_heads / args.n_kv_heads;
  const int32_t row = tile_row / n_group;
  if (row >= item.n_rows) return {};
  const int32_t head = kv_head * n_group + tile_row % n_group;
  const int32_t end = args.positions[item.first_row + row] + 1;
  const int32_t begin = args.window > 0 ? max(0, end - args.window) : 0;
  return {row * args.n_heads + head, begin, min(end, item.end_position)};
}

// n_rows rows of kHeadDim floats, the row at index i from source(i), or zeros if that is null.
template <int kHeadDim, typename Fn>
__device__ void copy_rows(int32_t n_rows, int32_t stride, float* to, Fn source) {
  constexpr int kPieces = kHeadDim / 4;
  for (int i = threadIdx.x; i < n_rows * kPieces; i += kThreads) {
    const float* from = source(i / kPieces);
    const int column = i % kPieces * 4;
    *reinterpret_cast<float4*>(to + i / kPieces * stride + column) =
        from != nullptr ? *reinterpret_cast<const float4*>(from + column)
                        : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  }
}

template <int kHeadDim>
__device__ float score(const AttentionArgs& args, const float* q, const float* key) {
  float s = 0.0f;
  for (int d = 0; d < kHeadDim; d += 4) {
    const float4 a = *reinterpret_cast<const float4*>(q + d);
    const float4 b = *reinterpret_cast<const float4*>(key + d);
    s = __fmaf_rn(a.x, b.x, s);
    s = __fmaf_rn(a.y, b.y, s);
    s = __fmaf_rn(a.z, b.z, s);
    s = __fmaf_rn(a.w, b.w, s);
  }
  s *= args.scale;
  return args.soft_cap > 0.0f ? args.soft_cap * tanhf(s / args.soft_cap) : s;
}

// This lane's weight of its position, relative to the new maximum; takes the state to that.
template <int kHeadDim>
__device__ float apply_softmax(float s, RowState<kHeadDim>& state) {
  s *= 1.4426950408889634f;
  float max = s;
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, mask));
  }
  max = fmaxf(max, state.max);
  const float base = max == kNoMax ? 0.0f : max;
  const float correction = exp2f(state.max - base);
  const float weight = exp2f(s - base);
  float sum = weight;
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, mask));
  }
  state.max = max;
  state.sum = __fmaf_rn(state.sum, correction, sum);
#pragma unroll
  for (float& value : state.acc) value = __fmul_rn(value, correction);
  return weight;
}

template <int kHeadDim>
__device__ void merge_chunk(RowState<kHeadDim>& chunk, RowState<kHeadDim>& total) {
  const MergeWeights weights = merge_weights<float>(total.max, chunk.max);
  total.max = weights.max;
  total.sum = merge_value(weights, total.sum, chunk.sum);
#pragma unroll
  for (int i = 0; i < RowState<kHeadDim>::kColumns; ++i) {
    total.acc[i] = merge_value(weights, total.acc[i], chunk.acc[i]);
  }
  chunk = {};
}

template <int kHeadDim>
__device__ void store(const AttentionArgs& args, const AttentionItem& item, const ExactRow& row,
                      const RowState<kHeadDim>& state) {
  const int lane = threadIdx.x % 32;
  const bool is_partial = item.partial_row >= 0;
  float* to;
  if (is_partial) {
    const int64_t at = int64_t{item.partial_row} * args.n_heads + row.row_head;
    to = args.partial_acc + at * kHeadDim;
    if (lane == 0) {
      *reinterpret_cast<float2*>(args.partial_max_sum + at * 2) = make_float2(state.max, state.sum);
    }
  } else {
    to = static_cast<float*>(args.out) +
         (item.first_row + row.row_head / args.n_heads) * args.out_stride +
         row.row_head % args.n_heads * kHeadDim;
  }
  const float factor = is_partial ? 1.0f : final_factor(state.sum);
#pragma unroll
  for (int i = 0; i < RowState<kHeadDim>::kColumns; ++i) {
    const int column = i * 32 + lane;
    if (column < kHeadDim) to[column] = __fmul_rn(state.acc[i], factor);
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads, 2)
    exact_kernel(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(16) float shared_floats[];
  const int32_t item_idx = blockIdx.x / args.n_kv_heads;
  const int32_t kv_head = blockIdx.x % args.n_kv_heads;
  if (item_idx >= args.counts->n_items) return;
  const AttentionItem item = args.items[item_idx];
  const int lane = threadIdx.x % 32;
  const int first_tile_row = threadIdx.x / 32 * kWarpRows;

  float* q = shared_floats;
  float* keys = shared_floats + kTileRows * kHeadDim;
  const int32_t n_group = args.n_heads / args.n_kv_heads;
  copy_rows<kHeadDim>(kTileRows, kHeadDim, q, [&](int tile_row) -> const float* {
    const int32_t row = tile_row / n_group;
    if (row >= item.n_rows) return nullptr;
    const int32_t head = kv_head * n_group + tile_row % n_group;
    return static_cast<const float*>(args.q) + (item.first_row + row) * args.q_stride +
           head * kHeadDim;
  });
  ExactRow rows[kWarpRows];
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) rows[r] = exact_row(args, item, kv_head, first_tile_row + r);

  RowState<kHeadDim> chunk[kWarpRows], total[kWarpRows];
  for (int32_t position = item.begin_position; position < item.end_position;
       position += kKvBlockTokens) {
    const int64_t block = args.block_ids[item.first_block + position / kKvBlockTokens];
    const int64_t at = (block * args.n_kv_heads + kv_head) * (kKvBlockTokens * kHeadDim);
    const float* k = static_cast<const float*>(args.k) + at;
    const float* v = static_cast<const float*>(args.v) + at;
    const int32_t n_valid = min(kKvBlockTokens, item.end_position - position);
    __syncthreads();
    copy_rows<kHeadDim>(kKvBlockTokens, kKeyStride<kHeadDim>, keys,
                        [&](int i) { return i < n_valid ? k + i * kHeadDim : nullptr; });
    __syncthreads();

    float weights[kWarpRows];
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r) {
      if (position > item.begin_position && position % kCudaAttentionChunk == 0) {
        merge_chunk(chunk[r], total[r]);
      }
      const bool is_visible = position + lane >= rows[r].begin && position + lane < rows[r].end;
      const float s = score<kHeadDim>(args, q + (first_tile_row + r) * kHeadDim,
                                      keys + lane * kKeyStride<kHeadDim>);
      weights[r] = apply_softmax(is_visible ? s : kNoMax, chunk[r]);
    }
    for (int32_t j = 0; j < n_valid; ++j) {
#pragma unroll
      for (int i = 0; i < RowState<kHeadDim>::kColumns; ++i) {
        const int column = i * 32 + lane;
        const float value = column < kHeadDim ? v[j * kHeadDim + column] : 0.0f;
#pragma unroll
        for (int r = 0; r < kWarpRows; ++r) {
          const float weight = __shfl_sync(kAllLanes, weights[r], j);
          chunk[r].acc[i] = __fmaf_rn(weight, value, chunk[r].acc[i]);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
    merge_chunk(chunk[r], total[r]);
    if (rows[r].row_head >= 0) store<kHeadDim>(args, item, rows[r], total[r]);
  }
}

}  // namespace

template <>
cudaError_t prepare_attention_of<float>(int32_t head_dim, int32_t) {
  return with_head_dim(head_dim, [&](auto dim) {
    return cudaFuncSetAttribute(exact_kernel<dim()>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                kSharedBytes<dim()>);
  });
}

template <>
cudaError_t launch_attention_of<float>(const AttentionArgs& args, cudaStream_t stream) {
  return with_head_dim(args.head_dim, [&](auto dim) {
    exact_kernel<dim()>
        <<<args.max_items * args.n_kv_heads, kThreads, kSharedBytes<dim()>, stream>>>(args);
    return cudaGetLastError();
  });
}

}  // namespace prefold::cuda
