#include "kernels/cuda/expert_sum.h"

#include "kernels/cuda/expert_routes.h"
#include "kernels/cuda/float_vec.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
static_assert(kMostUsedExperts <= 32);  // a lane each

__device__ void add(float weight, float4 y, float4& acc) {
  acc.x = __fmaf_rn(weight, y.x, acc.x);
  acc.y = __fmaf_rn(weight, y.y, acc.y);
  acc.z = __fmaf_rn(weight, y.z, acc.z);
  acc.w = __fmaf_rn(weight, y.w, acc.w);
}

// blockIdx.x is the row. Its weights are read once a warp, by a lane each.
template <class T>
__global__ void __launch_bounds__(kThreads) expert_sum(const __grid_constant__ ExpertSumArgs args) {
  constexpr unsigned kAllLanes = 0xffffffffu;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int col = 4 * static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  const bool has_col = col < args.n_cols;
  const int64_t row = blockIdx.x;
  const int64_t first_entry = row * args.n_used;
  const float lane_weight = lane < args.n_used ? args.weights[first_entry + lane] : 0.0f;
  const T* y = static_cast<const T*>(args.expert_out) + first_entry * args.expert_stride + col;
  float4 acc = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 4
  for (int i = 0; i < args.n_used; ++i) {
    const float weight = __shfl_sync(kAllLanes, lane_weight, i);
    if (has_col) add(weight, load4(y + i * args.expert_stride), acc);
  }
  if (!has_col) return;
  float* out = args.out + row * args.out_stride + col;
  if (args.has_shared) {
    const float weight =
        args.gates == nullptr ? 1.0f : 1.0f / (1.0f + expf(-args.gates[row * args.gate_stride]));
    add(weight, load4(out), acc);
  }
  store4(out, acc);
}

}  // namespace

cudaError_t launch_expert_sum(const ExpertSumArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  if (args.n_used > kMostUsedExperts) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>(args.n_rows),
                  static_cast<unsigned>((args.n_cols + 4 * kThreads - 1) / (4 * kThreads)));
  switch (args.type) {
    case FloatType::kF16:
      expert_sum<__half><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      expert_sum<__nv_bfloat16><<<grid, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      expert_sum<float><<<grid, kThreads, 0, stream>>>(args);
      break;
  }
  return cudaGetLastError();
}

}  // namespace prefold::cuda
