// Matrix products in which tiles of rows have matrices of their own: the experts of a layer. Each
// output has the bits that gemm.h, or in f32 gemm_exact.h, gives for its row and its matrix,
// whatever the tiles (expert_routes.h).
//
// The kernels are those of gemm.h and gemm_exact.h but for where a block finds its rows and its
// matrix; the row numbers take at most 8 registers more, and none is spilt.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/expert_routes.h"
#include "kernels/cuda/gemm.h"

namespace prefold::cuda {

// Matrices of one shape and format, one behind the other.
struct DeviceExperts {
  DeviceMatrix first = {};
  size_t n_bytes = 0;  // from one to the next: of their values, and of their scales
};

struct ExpertGemmArgs {
  FloatType type = FloatType::kF16;  // of x, out, and of dense weights
  GemmTile tile = GemmTile::k16x64;  // kF16, kBf16: k16x64, k64x64 or k128x128; kF32: k64x64
  const void* x = nullptr;           // rows of experts.first.n_in, 16-byte aligned
  int64_t x_stride = 0;              // in elements, a multiple of 8
  const int32_t* x_rows = nullptr;   // by place: the row of x that it reads
  DeviceExperts experts = {};
  void* out = nullptr;                // rows of n_out values, 16-byte aligned; not x
  int64_t out_stride = 0;             // in elements, a multiple of 8
  const int32_t* out_rows = nullptr;  // by place: the row of out that it writes
  const ExpertTile* tiles = nullptr;  // of at most the rows of `tile`
  const int32_t* n_tiles = nullptr;   // device memory
  int32_t max_tiles = 0;              // blocks past n_tiles end at once; 0: nothing is launched
};

constexpr int32_t expert_tile_rows(GemmTile tile) {
  return tile == GemmTile::k128x128 ? 128 : tile == GemmTile::k64x64 ? 64 : 16;
}

[[nodiscard]] cudaError_t launch_expert_gemm(const ExpertGemmArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
