#include "kernels/cuda/norm.h"
#include "kernels/cuda/norm_values.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kKept = 2;  // groups of four columns of a lane

__device__ float warp_sum(float x) {
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
  return x;
}

template <class T, bool kIsLayerNorm>
__global__ void __launch_bounds__(kThreads) head_norm(const __grid_constant__ HeadNormArgs args) {
  const int64_t idx = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int64_t row = idx / args.n_heads;
  if (row >= args.n_rows) return;
  const int head = static_cast<int>(idx % args.n_heads);
  T* x = static_cast<T*>(args.x) + row * args.stride + head * args.head_dim;
  const int n_groups = args.head_dim / 4, lane = static_cast<int>(threadIdx.x % 32);
  const float n_cols = static_cast<float>(args.head_dim);

  float4 kept[kKept];
  const auto for_groups = [&](auto fn) {
#pragma unroll
    for (int i = 0; i < kKept; ++i) {
      if (lane + i * 32 < n_groups) fn(i, 4 * (lane + i * 32));
    }
  };
  for_groups([&](int i, int col) { kept[i] = load4(x + col); });
  NormFactors factors;
  if constexpr (kIsLayerNorm) {
    float sum = 0.0f;
    for_groups([&](int i, int) { sum = sum_of(kept[i], sum); });
    factors.mean = warp_sum(sum) / n_cols;
  }
  float sum = 0.0f;
  for_groups([&](int i, int) { sum = sum_of_squares(kept[i], factors.mean, sum); });
  factors.inverse = 1.0f / sqrtf(warp_sum(sum) / n_cols + args.eps);
  const int first = args.is_weight_per_head ? head * args.head_dim : 0;
  for_groups([&](int i, int col) {
    store4(x + col,
           normed(kept[i], factors, args.weight == nullptr ? nullptr : args.weight + first + col,
                  args.bias == nullptr ? nullptr : args.bias + first + col));
  });
}

template <class T>
cudaError_t launch(const HeadNormArgs& args, cudaStream_t stream) {
  const int64_t n_warps = static_cast<int64_t>(args.n_rows) * args.n_heads;
  const unsigned n_blocks = static_cast<unsigned>((n_warps + kWarps - 1) / kWarps);
  if (args.is_layer_norm) {
    head_norm<T, true><<<n_blocks, kThreads, 0, stream>>>(args);
  } else {
    head_norm<T, false><<<n_blocks, kThreads, 0, stream>>>(args);
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_head_norm(const HeadNormArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  if (args.head_dim > kKept * 32 * 4) return cudaErrorInvalidValue;
  switch (args.type) {
    case FloatType::kF16:
      return launch<__half>(args, stream);
    case FloatType::kBf16:
      return launch<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      return launch<float>(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
