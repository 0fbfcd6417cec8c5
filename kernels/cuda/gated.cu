#include "kernels/cuda/float_vec.cuh"
#include "kernels/cuda/gated.h"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;

__device__ float silu_mul(float gate, float up) { return gate / (1.0f + expf(-gate)) * up; }

template <class T>
constexpr int kGroup = 16 / sizeof(T);  // values of a thread

// A block for kThreads groups of a row: blockIdx.x is the row.
template <class T>
__global__ void __launch_bounds__(kThreads) silu_mul_rows(GatedArgs args) {
  using Vec = FloatVec<T, kGroup<T>>;
  const int col = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * kGroup<T>;
  if (col >= args.n_cols) return;
  const int64_t row = blockIdx.x;
  Vec* gate_at = reinterpret_cast<Vec*>(static_cast<T*>(args.gate) + row * args.gate_stride + col);
  Vec gate = *gate_at;
  const Vec up =
      *reinterpret_cast<const Vec*>(static_cast<const T*>(args.up) + row * args.up_stride + col);
#pragma unroll
  for (int i = 0; i < kGroup<T>; ++i) {
    gate.v[i] = from_float<T>(silu_mul(to_float(gate.v[i]), to_float(up.v[i])));
  }
  *gate_at = gate;
}

template <class T>
void launch(const GatedArgs& args, cudaStream_t stream) {
  const int cols_of_block = kThreads * kGroup<T>;
  const dim3 grid(static_cast<unsigned>(args.n_rows),
                  static_cast<unsigned>((args.n_cols + cols_of_block - 1) / cols_of_block));
  silu_mul_rows<T><<<grid, kThreads, 0, stream>>>(args);
}

}  // namespace

cudaError_t launch_silu_mul(const GatedArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  switch (args.type) {
    case FloatType::kF16:
      launch<__half>(args, stream);
      break;
    case FloatType::kBf16:
      launch<__nv_bfloat16>(args, stream);
      break;
    case FloatType::kF32:
      launch<float>(args, stream);
      break;
  }
  return cudaGetLastError();
}

}  // namespace prefold::cuda
