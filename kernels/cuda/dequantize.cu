#include "kernels/cuda/dequantize.h"

#include "kernels/cuda/quants.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kGroups = kThreads / 32;  // of a block: one a warp
constexpr int kBlockK = kGroups * kWeightGroup;
constexpr int kStrips = 2;  // units of a warp, so that its scales are a whole sector
constexpr int kBlockOutputs = kStrips * kWeightUnitOutputs;

// Warps have neighbouring groups. Values pass through shared memory, in rows padded by 16 bytes, so
// that whole lines are written.
template <class T, WeightFormat kFormat>
__global__ void __launch_bounds__(kThreads)
    dequantize_kernel(const __grid_constant__ DequantizeArgs args) {
  constexpr int kRowWords = kBlockK / 2 + 4;
  __shared__ __align__(16) uint32_t values[kBlockOutputs * kRowWords];
  const DeviceMatrix& weight = args.weight;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int block_output = blockIdx.y * kBlockOutputs;  // of those asked for
  const int group = blockIdx.x * kGroups + warp;
  if (group * kWeightGroup < weight.n_in) {
    const int64_t first =
        static_cast<int64_t>(group) * weight.n_out + args.first_output + block_output;
    const int scale_output = min(lane / 2, args.n_outputs - block_output - 1);
    const uint32_t scales = load_scales<kFormat>(weight, first + scale_output);
#pragma unroll
    for (int strip = 0; strip < kStrips; ++strip) {
      const int output = strip * kWeightUnitOutputs + lane / 4;
      const uint32_t its_scales = __shfl_sync(~0u, scales, 2 * output);
      if (block_output + output >= args.n_outputs) break;  // the same for all lanes
      const int64_t unit = first / kWeightUnitOutputs + strip;
      uint32_t pairs[4];
      dequantize<T>(load_lane_quants<kFormat>(weight, unit * 32 + lane), its_scales, pairs);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        values[output * kRowWords + warp * 16 + i * 4 + lane % 4] = pairs[i];
      }
    }
  }
  __syncthreads();
  const int k = blockIdx.x * kBlockK + lane * 8;
#pragma unroll
  for (int strip = 0; strip < kStrips; ++strip) {
    const int output = strip * kWeightUnitOutputs + warp;
    if (k >= weight.n_in || block_output + output >= args.n_outputs) continue;
    T* out =
        static_cast<T*>(args.out) + static_cast<int64_t>(block_output + output) * weight.n_in + k;
    *reinterpret_cast<uint4*>(out) =
        *reinterpret_cast<const uint4*>(values + output * kRowWords + lane * 4);
  }
}

template <class T>
cudaError_t launch_dequantize_as(const DequantizeArgs& args, cudaStream_t stream) {
  const dim3 grid((args.weight.n_in + kBlockK - 1) / kBlockK,
                  (args.n_outputs + kBlockOutputs - 1) / kBlockOutputs);
  if (args.weight.format == WeightFormat::kW4) {
    dequantize_kernel<T, WeightFormat::kW4><<<grid, kThreads, 0, stream>>>(args);
  } else {
    dequantize_kernel<T, WeightFormat::kW8><<<grid, kThreads, 0, stream>>>(args);
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_dequantize(const DequantizeArgs& args, cudaStream_t stream) {
  if (args.weight.format == WeightFormat::kDense) return cudaErrorInvalidValue;
  switch (args.type) {
    case FloatType::kF16:
      return launch_dequantize_as<__half>(args, stream);
    case FloatType::kBf16:
      return launch_dequantize_as<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
