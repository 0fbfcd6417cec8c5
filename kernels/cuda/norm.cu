#include "kernels/cuda/float_vec.cuh"
#include "kernels/cuda/norm.h"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kKept = 8;  // groups of four columns that a thread keeps in registers

__device__ float sum_of_squares(float4 x, float sum) {
  sum = __fmaf_rn(x.x, x.x, sum);
  sum = __fmaf_rn(x.y, x.y, sum);
  sum = __fmaf_rn(x.z, x.z, sum);
  return __fmaf_rn(x.w, x.w, sum);
}

__device__ float4 scaled(float4 x, float inverse, float4 gamma) {
  return {x.x * inverse * gamma.x, x.y * inverse * gamma.y, x.z * inverse * gamma.z,
          x.w * inverse * gamma.w};
}

// The block's sum, the same bits in every thread.
__device__ float block_sum(float x) {
  __shared__ float sums[kWarps];
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = sums[0];
  for (int warp = 1; warp < kWarps; ++warp) sum += sums[warp];
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads) rmsnorm(RmsNormArgs args) {
  const int64_t from = args.rows != nullptr ? args.rows[blockIdx.x] : static_cast<int>(blockIdx.x);
  const float* x = args.hidden + from * args.n_cols;
  T* out = static_cast<T*>(args.out) + static_cast<int64_t>(blockIdx.x) * args.n_cols;
  const int n_groups = args.n_cols / 4;

  float4 kept[kKept];
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int group = static_cast<int>(threadIdx.x) + i * kThreads;
    kept[i] = group < n_groups ? load4(x + 4 * group) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    sum = sum_of_squares(kept[i], sum);
  }
  const int first_rest = static_cast<int>(threadIdx.x) + kKept * kThreads;
  for (int group = first_rest; group < n_groups; group += kThreads) {
    sum = sum_of_squares(load4(x + 4 * group), sum);
  }
  const float mean = block_sum(sum) / static_cast<float>(args.n_cols);
  const float inverse = 1.0f / sqrtf(mean + args.eps);

#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int group = static_cast<int>(threadIdx.x) + i * kThreads;
    if (group >= n_groups) continue;
    store4(out + 4 * group, scaled(kept[i], inverse, load4(args.gamma + 4 * group)));
  }
  for (int group = first_rest; group < n_groups; group += kThreads) {
    store4(out + 4 * group, scaled(load4(x + 4 * group), inverse, load4(args.gamma + 4 * group)));
  }
}

}  // namespace

cudaError_t launch_rmsnorm(const RmsNormArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  const unsigned n_blocks = static_cast<unsigned>(args.n_rows);
  switch (args.out_type) {
    case FloatType::kF16:
      rmsnorm<__half><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      rmsnorm<__nv_bfloat16><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      rmsnorm<float><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
  }
  return cudaGetLastError();
}

}  // namespace prefold::cuda
