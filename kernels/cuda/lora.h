// What the rows' adapters (LoRA, arXiv 2106.09685) add to products: y += B (A x), rows of many
// adapters in one launch (Punica, arXiv 2310.18547). All in f32, y rounded once.
//
// t = A x is 1,024 sums over k, of the k that are the same modulo 1,024 in groups of 4, which one
// tree adds up; B t is a chain over the rank. So a row's bits depend on the row and its adapter
// alone.
//
// lora_shrink: a block of 256 threads for a tile of rows, a part and 8 of its ranks; 2 KiB of
// shared memory. lora_expand: one of 128 threads for a tile, a part and 512 of its outputs; shared
// memory for the tile's t, 32 bytes a rank.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

inline constexpr int32_t kLoraTileRows = 8;
inline constexpr int32_t kLoraRankUnit = 8;  // ranks are padded to a multiple by zeros
inline constexpr int32_t kMaxLoraDeviceParts = 3;

// Rows of one adapter, at most kLoraTileRows.
struct LoraTile {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t adapter = 0;
};

// In f32, 16-byte aligned. An adapter that leaves the matrix alone has rank 0.
struct LoraDeviceMatrix {
  const float* a = nullptr;  // (rank, n_in)
  const float* b = nullptr;  // (rank, n_out): B transposed
  int32_t rank = 0;          // padded
};

// A matrix that reads the rows of x, and where its product is.
struct LoraDevicePart {
  const LoraDeviceMatrix* matrices = nullptr;  // by adapter, device memory
  void* out = nullptr;                         // rows of n_out values of `out_type`
  int64_t out_stride = 0;                      // in elements
  int32_t n_out = 0;                           // a multiple of 8
};

// Rows are 16-byte aligned, strides multiples of 8.
struct LoraArgs {
  FloatType type = FloatType::kF16;  // of x
  const void* x = nullptr;
  int64_t x_stride = 0;
  int32_t n_in = 0;  // a multiple of 4
  FloatType out_type = FloatType::kF16;
  LoraDevicePart parts[kMaxLoraDeviceParts];
  int32_t n_parts = 0;
  float* shrunk = nullptr;           // t: for each row kMaxLoraDeviceParts times max_rank values
  int32_t max_rank = 0;              // of all adapters, padded; at most 1,024
  const LoraTile* tiles = nullptr;   // device memory
  const int32_t* n_tiles = nullptr;  // device memory
  int32_t max_tiles = 0;             // blocks past n_tiles end at once; 0: nothing is launched
};

[[nodiscard]] cudaError_t launch_lora_shrink(const LoraArgs& args, cudaStream_t stream);
// After lora_shrink, with the same arguments.
[[nodiscard]] cudaError_t launch_lora_expand(const LoraArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
