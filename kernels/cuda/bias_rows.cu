#include "kernels/cuda/bias_rows.h"

#include "kernels/cuda/tensor_core.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads)
    bias_rows_kernel(const __grid_constant__ BiasRowsArgs args) {
  const int col = (blockIdx.y * kThreads + threadIdx.x) * 2;
  if (col >= args.n_cols) return;
  const int64_t at = blockIdx.x * args.out_stride + col;
  float2 bias = *reinterpret_cast<const float2*>(args.bias + col);
  if (args.output == GemmOutput::kStore) {
    *reinterpret_cast<uint32_t*>(static_cast<T*>(args.out) + at) = pack_pair<T>(bias.x, bias.y);
    return;
  }
  float2* out = reinterpret_cast<float2*>(static_cast<float*>(args.out) + at);
  if (args.output == GemmOutput::kAddF32) {
    bias.x = out->x + args.add_scale * bias.x;
    bias.y = out->y + args.add_scale * bias.y;
  }
  *out = bias;
}

}  // namespace

cudaError_t launch_bias_rows(const BiasRowsArgs& args, cudaStream_t stream) {
  const dim3 grid(args.n_rows, (args.n_cols / 2 + kThreads - 1) / kThreads);
  switch (args.type) {
    case FloatType::kF16:
      bias_rows_kernel<__half><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      bias_rows_kernel<__nv_bfloat16><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      return cudaErrorInvalidValue;
  }
  return cudaGetLastError();
}

}  // namespace prefold::cuda
