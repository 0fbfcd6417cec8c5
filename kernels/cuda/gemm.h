// Matrix products on tensor cores with dense or quantised weights: y = x W^T, f32 accumulation.
//
// Every output is one chain over k: mma.m16n8k16 (two m16n8k8 on sm_75) for k = 0, 16, 32, ... in
// order, into one f32 accumulator that starts at 0; never split, the same in every tile. So an
// output's bits depend on its row of x and its column of W alone. Quants become T in registers.
//
// x and weights pass through shared memory in stages (cp.async; plain copies on sm_75), rows
// permuted so that ldmatrix meets no bank conflicts. At most 48 KiB of shared memory. Threads, and
// registers at most (nothing is spilt):
//                          threads   sm_80, sm_90   sm_75
//   k8x32 ... k16x64           128             48      71
//   k32x64                      64             85     126
//   k64x64                      64            128     186
//   k128x128                   128            255     221
// bf16 needs sm_80: on sm_75 the kernel traps.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"
#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

// Where a product goes. The bias, if any, is added to the f32 sum first.
enum class GemmOutput : uint8_t {
  kStore,     // out = T(sum)
  kStoreF32,  // out = sum
  kAddF32,    // out = out + add_scale * sum
};

// Rows x outputs of a block's tile.
enum class GemmTile : uint8_t { k8x32, k8x64, k16x32, k16x64, k32x64, k64x64, k128x128 };

struct GemmArgs {
  FloatType type = FloatType::kF16;  // T: of x, and of a dense weight; kF16 or kBf16
  GemmTile tile = GemmTile::k8x32;
  GemmOutput output = GemmOutput::kStore;
  const void* x = nullptr;  // (n_rows, weight.n_in) of T, 16-byte aligned
  int64_t x_stride = 0;     // in elements, a multiple of 8
  int32_t n_rows = 0;       // > 0
  DeviceLinear linear = {};
  void* out = nullptr;     // (n_rows, weight.n_out) of T or f32, 16-byte aligned; not x
  int64_t out_stride = 0;  // in elements, a multiple of 8
  float add_scale = 1.0f;  // with kAddF32
};

[[nodiscard]] cudaError_t launch_gemm(const GemmArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
