#include "kernels/cuda/float_vec.cuh"
#include "kernels/cuda/lora.h"

namespace prefold::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kShrinkThreads = 256;
constexpr int kShrinkWarps = kShrinkThreads / kWarp;
constexpr int kExpandThreads = 128;
constexpr int kExpandCols = 4 * kExpandThreads;
constexpr int kSums = kLoraTileRows * kLoraRankUnit;
static_assert(kSums == 2 * kWarp);

__device__ float dot4(float4 x, float4 y, float sum) {
  sum = fmaf(x.x, y.x, sum);
  sum = fmaf(x.y, y.y, sum);
  sum = fmaf(x.z, y.z, sum);
  return fmaf(x.w, y.w, sum);
}

// Adds each of the 64 sums up over the warp: lane i has the totals of sums 2 i and 2 i + 1 in the
// first two places. Each round hands half of what is left to the lane across and adds what comes
// from there.
__device__ void reduce_scatter(float (&sums)[kSums]) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int n = kSums / 2; n > 1; n /= 2) {
    const bool is_upper = (lane & (n / 2)) != 0;
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const float sent = is_upper ? sums[i] : sums[i + n];
      const float kept = is_upper ? sums[i + n] : sums[i];
      sums[i] = kept + __shfl_xor_sync(0xffffffffu, sent, n / 2);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kShrinkThreads)
    lora_shrink(const __grid_constant__ LoraArgs args) {
  __shared__ float2 of_warps[kShrinkWarps][kWarp];
  if (static_cast<int>(blockIdx.x) >= *args.n_tiles) return;
  const LoraTile tile = args.tiles[blockIdx.x];
  const LoraDeviceMatrix matrix = args.parts[blockIdx.y].matrices[tile.adapter];
  const int first_rank = static_cast<int>(blockIdx.z) * kLoraRankUnit;
  if (first_rank >= matrix.rank) return;
  const T* const x = static_cast<const T*>(args.x) + tile.first_row * args.x_stride;
  const float* const a = matrix.a + static_cast<int64_t>(first_rank) * args.n_in;

  float sums[kSums] = {};
  for (int k = 4 * static_cast<int>(threadIdx.x); k < args.n_in; k += 4 * kShrinkThreads) {
    float4 of_a[kLoraRankUnit];
#pragma unroll
    for (int r = 0; r < kLoraRankUnit; ++r) {
      of_a[r] = load4(a + static_cast<int64_t>(r) * args.n_in + k);
    }
#pragma unroll
    for (int row = 0; row < kLoraTileRows; ++row) {
      if (row < tile.n_rows) {
        const float4 of_x = load4(x + row * args.x_stride + k);
#pragma unroll
        for (int r = 0; r < kLoraRankUnit; ++r) {
          float& sum = sums[row * kLoraRankUnit + r];
          sum = dot4(of_x, of_a[r], sum);
        }
      }
    }
  }
  reduce_scatter(sums);
  of_warps[threadIdx.x / kWarp][threadIdx.x % kWarp] = {sums[0], sums[1]};
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  float2 total = of_warps[0][threadIdx.x];
#pragma unroll
  for (int warp = 1; warp < kShrinkWarps; ++warp) {
    total.x += of_warps[warp][threadIdx.x].x;
    total.y += of_warps[warp][threadIdx.x].y;
  }
  const int row = 2 * static_cast<int>(threadIdx.x) / kLoraRankUnit;
  if (row >= tile.n_rows) return;
  float* const t =
      args.shrunk +
      static_cast<int64_t>(tile.first_row + row) * kMaxLoraDeviceParts * args.max_rank +
      static_cast<int>(blockIdx.y) * args.max_rank + first_rank;
  reinterpret_cast<float2*>(t)[threadIdx.x % (kLoraRankUnit / 2)] = total;
}

template <class T>
__global__ void __launch_bounds__(kExpandThreads)
    lora_expand(const __grid_constant__ LoraArgs args) {
  extern __shared__ float4 shrunk[];  // by row: rank / 4
  if (static_cast<int>(blockIdx.x) >= *args.n_tiles) return;
  const LoraTile tile = args.tiles[blockIdx.x];
  const LoraDevicePart part = args.parts[blockIdx.z];
  const LoraDeviceMatrix matrix = part.matrices[tile.adapter];
  const int block_col = static_cast<int>(blockIdx.y) * kExpandCols;
  if (matrix.rank == 0 || block_col >= part.n_out) return;

  const int row_vecs = matrix.rank / 4;
  const float* const t = args.shrunk + static_cast<int>(blockIdx.z) * args.max_rank;
  for (int i = threadIdx.x; i < tile.n_rows * row_vecs; i += kExpandThreads) {
    const int64_t row = tile.first_row + i / row_vecs;
    shrunk[i] = load4(t + row * kMaxLoraDeviceParts * args.max_rank + 4 * (i % row_vecs));
  }
  __syncthreads();
  const int col = block_col + 4 * static_cast<int>(threadIdx.x);
  if (col >= part.n_out) return;

  float4 sums[kLoraTileRows] = {};
  for (int vec = 0; vec < row_vecs; ++vec) {
    float4 of_b[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      of_b[r] = load4(matrix.b + static_cast<int64_t>(4 * vec + r) * part.n_out + col);
    }
#pragma unroll
    for (int row = 0; row < kLoraTileRows; ++row) {
      if (row < tile.n_rows) {
        const float4 of_t = shrunk[row * row_vecs + vec];
        const float weights[4] = {of_t.x, of_t.y, of_t.z, of_t.w};
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          sums[row].x = fmaf(weights[r], of_b[r].x, sums[row].x);
          sums[row].y = fmaf(weights[r], of_b[r].y, sums[row].y);
          sums[row].z = fmaf(weights[r], of_b[r].z, sums[row].z);
          sums[row].w = fmaf(weights[r], of_b[r].w, sums[row].w);
        }
      }
    }
  }
  T* const out = static_cast<T*>(part.out) + tile.first_row * part.out_stride + col;
#pragma unroll
  for (int row = 0; row < kLoraTileRows; ++row) {
    if (row < tile.n_rows) {
      T* const at = out + row * part.out_stride;
      const float4 y = load4(at);
      store4(at, {y.x + sums[row].x, y.y + sums[row].y, y.z + sums[row].z, y.w + sums[row].w});
    }
  }
}

template <class T>
cudaError_t shrink(const LoraArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(args.max_tiles), static_cast<unsigned>(args.n_parts),
                  static_cast<unsigned>(args.max_rank / kLoraRankUnit));
  lora_shrink<T><<<grid, kShrinkThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

template <class T>
cudaError_t expand(const LoraArgs& args, cudaStream_t stream) {
  int32_t n_out = 0;
  for (int32_t i = 0; i < args.n_parts; ++i) {
    n_out = args.parts[i].n_out > n_out ? args.parts[i].n_out : n_out;
  }
  const dim3 grid(static_cast<unsigned>(args.max_tiles),
                  static_cast<unsigned>((n_out + kExpandCols - 1) / kExpandCols),
                  static_cast<unsigned>(args.n_parts));
  const size_t shared_bytes = sizeof(float) * kLoraTileRows * static_cast<size_t>(args.max_rank);
  lora_expand<T><<<grid, kExpandThreads, shared_bytes, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_lora_shrink(const LoraArgs& args, cudaStream_t stream) {
  if (args.max_tiles == 0) return cudaSuccess;
  switch (args.type) {
    case FloatType::kF16:
      return shrink<__half>(args, stream);
    case FloatType::kBf16:
      return shrink<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      return shrink<float>(args, stream);
  }
  return cudaErrorInvalidValue;
}

cudaError_t launch_lora_expand(const LoraArgs& args, cudaStream_t stream) {
  if (args.max_tiles == 0) return cudaSuccess;
  switch (args.out_type) {
    case FloatType::kF16:
      return expand<__half>(args, stream);
    case FloatType::kBf16:
      return expand<__nv_bfloat16>(args, stream);
    case FloatType::kF32:
      return expand<float>(args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace prefold::cuda
