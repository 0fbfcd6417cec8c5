#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_state.cuh"

namespace prefold::cuda {
namespace {

constexpr int kMergeThreads = 128;

template <typename T>
__device__ __forceinline__ void store_four(T* to, const float (&x)[4]) {
  *reinterpret_cast<uint2*>(to) = make_uint2(pack_pair<T>(x[0], x[1]), pack_pair<T>(x[2], x[3]));
}
template <>
__device__ __forceinline__ void store_four<float>(float* to, const float (&x)[4]) {
  *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
}

__device__ __forceinline__ void merge_four(const MergeWeights& weights, float4 part,
                                           float (&acc)[4]) {
  acc[0] = merge_value(weights, acc[0], part.x);
  acc[1] = merge_value(weights, acc[1], part.y);
  acc[2] = merge_value(weights, acc[2], part.z);
  acc[3] = merge_value(weights, acc[3], part.w);
}

// A thread has 4 columns in each of kSlices equal slices of one row and head, so that what its
// neighbours read lies beside it.
template <typename T, int kSlices>
__global__ void __launch_bounds__(kMergeThreads)
    merge_kernel(const __grid_constant__ AttentionArgs args) {
  const int32_t n_pieces = args.head_dim / 4;
  const int32_t n_slice_pieces = n_pieces / kSlices;
  const int32_t n_row_threads = args.n_heads * n_slice_pieces;
  const int64_t thread = int64_t{blockIdx.x} * kMergeThreads + threadIdx.x;
  const auto merge_idx = static_cast<int32_t>(thread / n_row_threads);
  if (merge_idx >= args.counts->n_merges) return;
  const auto row_thread = static_cast<int32_t>(thread % n_row_threads);
  const int32_t head = row_thread / n_slice_pieces;
  const int32_t piece = head * n_pieces + row_thread % n_slice_pieces;
  const int4 merge = reinterpret_cast<const int4*>(args.merges)[merge_idx];
  const int32_t row = merge.x, first_part = merge.y, n_parts = merge.z;  // AttentionMerge
  const auto* partial_max_sum = reinterpret_cast<const float2*>(args.partial_max_sum);
  const auto* partial_acc = reinterpret_cast<const float4*>(args.partial_acc);

  float max = kNoMax;
  float sum = 0.0f;
  float acc[kSlices][4] = {};
  for (int32_t i = 0; i < n_parts; ++i) {
    const int64_t part = args.parts[first_part + i];
    const float2 max_sum = partial_max_sum[part * args.n_heads + head];
    const float4* part_acc = partial_acc + part * args.n_heads * n_pieces + piece;
    const MergeWeights weights = merge_weights<T>(max, max_sum.x);
    max = weights.max;
    sum = merge_value(weights, sum, max_sum.y);
#pragma unroll
    for (int slice = 0; slice < kSlices; ++slice) {
      merge_four(weights, part_acc[slice * n_slice_pieces], acc[slice]);
    }
  }
  const float factor = final_factor(sum);
  T* out = static_cast<T*>(args.out) + row * args.out_stride + piece * 4;
#pragma unroll
  for (int slice = 0; slice < kSlices; ++slice) {
    for (float& value : acc[slice]) value = __fmul_rn(value, factor);
    store_four<T>(out + slice * n_slice_pieces * 4, acc[slice]);
  }
}

template <typename T, int kSlices>
cudaError_t launch_slices(const AttentionArgs& args, cudaStream_t stream) {
  const int64_t n_threads =
      int64_t{args.max_merges} * args.n_heads * (args.head_dim / (4 * kSlices));
  const int64_t n_blocks = (n_threads + kMergeThreads - 1) / kMergeThreads;
  merge_kernel<T, kSlices><<<static_cast<unsigned>(n_blocks), kMergeThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

// Slices of whole sectors of 32 bytes, where the head size allows.
template <typename T>
cudaError_t launch_merge(const AttentionArgs& args, cudaStream_t stream) {
  return args.head_dim % 64 == 0 ? launch_slices<T, 4>(args, stream)
                                 : launch_slices<T, 2>(args, stream);
}

}  // namespace

cudaError_t launch_attention_merge(const AttentionArgs& args, cudaStream_t stream) {
  if (args.max_merges == 0) return cudaSuccess;
  switch (args.type) {
    case FloatType::kF16:
      return launch_merge<__half>(args, stream);
    case FloatType::kBf16:
      return launch_merge<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      return launch_merge<float>(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
