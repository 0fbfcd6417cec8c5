#include "kernels/cuda/norm.h"

#include "kernels/cuda/norm_values.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kKept = 8;  // groups of four columns that a thread keeps in registers

// The block's sum, the same bits in every thread. Calls take turns with two arrays.
__device__ float block_sum(float x, float* sums) {
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = sums[0];
  for (int warp = 1; warp < kWarps; ++warp) sum += sums[warp];
  return sum;
}

// Calls fn(i, group) for the thread's groups that are kept, the i-th being of columns 4 * group on.
template <class Fn>
__device__ __forceinline__ void for_kept(int n_groups, Fn fn) {
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int group = static_cast<int>(threadIdx.x) + i * kThreads;
    if (group < n_groups) fn(i, group);
  }
}

// Calls fn(group) for the thread's other groups.
template <class Fn>
__device__ __forceinline__ void for_rest(int n_groups, Fn fn) {
  for (int group = static_cast<int>(threadIdx.x) + kKept * kThreads; group < n_groups;
       group += kThreads) {
    fn(group);
  }
}

template <class In, class Out, bool kIsLayerNorm>
__global__ void __launch_bounds__(kThreads) norm(const __grid_constant__ NormArgs args) {
  __shared__ float sums[2 * kWarps];
  const int64_t from = args.rows != nullptr ? args.rows[blockIdx.x] : static_cast<int>(blockIdx.x);
  const In* x = static_cast<const In*>(args.x) + from * args.x_stride;
  const int n_groups = args.n_cols / 4;
  const float n_cols = static_cast<float>(args.n_cols);

  float4 kept[kKept];
  for_kept(n_groups, [&](int i, int group) { kept[i] = load4(x + 4 * group); });
  NormFactors factors;
  if constexpr (kIsLayerNorm) {
    float sum = 0.0f;
    for_kept(n_groups, [&](int i, int) { sum = sum_of(kept[i], sum); });
    for_rest(n_groups, [&](int group) { sum = sum_of(load4(x + 4 * group), sum); });
    factors.mean = block_sum(sum, sums) / n_cols;
  }
  float sum = 0.0f;
  for_kept(n_groups, [&](int i, int) { sum = sum_of_squares(kept[i], factors.mean, sum); });
  for_rest(n_groups,
           [&](int group) { sum = sum_of_squares(load4(x + 4 * group), factors.mean, sum); });
  factors.inverse = 1.0f / sqrtf(block_sum(sum, sums + kWarps) / n_cols + args.eps);

  Out* out = static_cast<Out*>(args.out) + static_cast<int64_t>(blockIdx.x) * args.out_stride;
  const auto put = [&](float4 four, int group) {
    const int col = 4 * group;
    four = normed(four, factors, args.weight == nullptr ? nullptr : args.weight + col,
                  args.bias == nullptr ? nullptr : args.bias + col);
    if (args.add_to_out) {
      const float4 old = load4(out + col);
      four = {__fmaf_rn(args.scale, four.x, old.x), __fmaf_rn(args.scale, four.y, old.y),
              __fmaf_rn(args.scale, four.z, old.z), __fmaf_rn(args.scale, four.w, old.w)};
    }
    store4(out + col, four);
  };
  for_kept(n_groups, [&](int i, int group) { put(kept[i], group); });
  for_rest(n_groups, [&](int group) { put(load4(x + 4 * group), group); });
}

template <class In, class Out>
cudaError_t launch(const NormArgs& args, cudaStream_t stream) {
  const unsigned n_blocks = static_cast<unsigned>(args.n_rows);
  if (args.is_layer_norm) {
    norm<In, Out, true><<<n_blocks, kThreads, 0, stream>>>(args);
  } else {
    norm<In, Out, false><<<n_blocks, kThreads, 0, stream>>>(args);
  }
  return cudaGetLastError();
}

template <class Out>
cudaError_t launch_of(const NormArgs& args, cudaStream_t stream) {
  if (args.in_type == FloatType::kF32) return launch<float, Out>(args, stream);
  if (args.in_type == args.out_type) return launch<Out, Out>(args, stream);
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t launch_norm(const NormArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  if (args.add_to_out && args.out_type != FloatType::kF32) return cudaErrorInvalidValue;
  switch (args.out_type) {
    case FloatType::kF16:
      return launch_of<__half>(args, stream);
    case FloatType::kBf16:
      return launch_of<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      return launch_of<float>(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
