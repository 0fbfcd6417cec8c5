#include "kernels/cuda/gated.h"

#include "kernels/cuda/float_vec.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;

template <GatedActivation kActivation>
__device__ float activated(float x) {
  if constexpr (kActivation == GatedActivation::kSilu) {
    return x / (1.0f + expf(-x));
  } else if constexpr (kActivation == GatedActivation::kGelu) {
    return 0.5f * x * erfcf(x * -0.70710678f);  // 1 + erf without cancellation
  } else if constexpr (kActivation == GatedActivation::kGeluTanh) {
    return x / (1.0f + expf(-1.5957691f * (x + 0.044715f * x * x * x)));  // (1 + tanh(u)) / 2
  } else {
    return fmaxf(x, 0.0f);
  }
}

template <class T>
constexpr int kGroup = 16 / sizeof(T);  // values of a thread

// A block for kThreads groups of a row: blockIdx.x is the row.
template <class T, GatedActivation kActivation>
__global__ void __launch_bounds__(kThreads) gated_rows(const __grid_constant__ GatedArgs args) {
  using Vec = FloatVec<T, kGroup<T>>;
  const int col = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * kGroup<T>;
  if (col >= args.n_cols) return;
  const int64_t row = blockIdx.x;
  Vec* gate_at = reinterpret_cast<Vec*>(static_cast<T*>(args.gate) + row * args.gate_stride + col);
  Vec gate = *gate_at;
  if (args.up == nullptr) {
#pragma unroll
    for (int i = 0; i < kGroup<T>; ++i) {
      gate.v[i] = from_float<T>(activated<kActivation>(to_float(gate.v[i])));
    }
  } else {
    const Vec up =
        *reinterpret_cast<const Vec*>(static_cast<const T*>(args.up) + row * args.up_stride + col);
#pragma unroll
    for (int i = 0; i < kGroup<T>; ++i) {
      gate.v[i] = from_float<T>(activated<kActivation>(to_float(gate.v[i])) * to_float(up.v[i]));
    }
  }
  *gate_at = gate;
}

template <class T, GatedActivation kActivation>
cudaError_t launch(const GatedArgs& args, cudaStream_t stream) {
  const int cols_of_block = kThreads * kGroup<T>;
  const dim3 grid(static_cast<unsigned>(args.n_rows),
                  static_cast<unsigned>((args.n_cols + cols_of_block - 1) / cols_of_block));
  gated_rows<T, kActivation><<<grid, kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

template <class T>
cudaError_t launch_of(const GatedArgs& args, cudaStream_t stream) {
  switch (args.activation) {
    case GatedActivation::kSilu:
      return launch<T, GatedActivation::kSilu>(args, stream);
    case GatedActivation::kGelu:
      return launch<T, GatedActivation::kGelu>(args, stream);
    case GatedActivation::kGeluTanh:
      return launch<T, GatedActivation::kGeluTanh>(args, stream);
    case GatedActivation::kRelu:
      return launch<T, GatedActivation::kRelu>(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t launch_gated(const GatedArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  switch (args.type) {
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
