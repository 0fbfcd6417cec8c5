// Which experts the rows of a step take, and the rows grouped by expert (arXiv 1701.06538).
//
// All of it depends on a row's own logits alone, or on the order of rows: experts have no capacity,
// and nothing is placed in order of arrival.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace prefold::cuda {

inline constexpr int32_t kMostExperts = 512;
inline constexpr int32_t kMostUsedExperts = 32;

// With p the softmax of a row's logits (the largest logit subtracted; exponentials summed by a
// fixed tree), a row takes the n_used experts of the highest logits, ties to the lower expert; NaN
// is lowest. The weight of an expert is p; if normalise, p divided by the sum of the taken ones in
// order of expert.
struct RouteExpertsArgs {
  const float* logits = nullptr;  // (n_rows, n_experts)
  int64_t stride = 0;             // elements between rows
  int32_t n_rows = 0;             // 0: nothing is launched
  int32_t n_experts = 0;          // at most kMostExperts
  int32_t n_used = 0;             // from 1 to kMostUsedExperts, at most n_experts
  bool normalise = false;
  int32_t* experts = nullptr;  // (n_rows, n_used), ascending in a row
  float* weights = nullptr;    // (n_rows, n_used)
};
// A warp a row, 256 threads a block; 2 KiB of shared memory.
[[nodiscard]] cudaError_t launch_route_experts(const RouteExpertsArgs& args, cudaStream_t stream);

// What one expert has for a block of expert_gemm.h to compute together: places [first, first +
// n_rows).
struct alignas(16) ExpertTile {
  int32_t expert = 0;
  int32_t first = 0;
  int32_t n_rows = 0;
  int32_t unused = 0;
};

// The most tiles that n_rows rows can make.
constexpr int32_t most_expert_tiles(int32_t n_rows, int32_t n_used, int32_t n_experts,
                                    int32_t tile_rows) {
  const int32_t n_places = n_rows * n_used;
  return n_places / tile_rows + (n_places < n_experts ? n_places : n_experts);
}

// Entry row * n_used + i is the row's i-th expert. Places 0 to n_rows * n_used - 1 hold the entries
// by expert, then by row.
struct GroupRowsArgs {
  const int32_t* experts = nullptr;  // (n_rows, n_used), 16-byte aligned, each below n_experts
  int32_t n_rows = 0;                // 0: nothing is launched
  int32_t n_used = 0;
  int32_t n_experts = 0;  // at most kMostExperts
  int32_t tile_rows = 0;
  int32_t* counts = nullptr;    // (n_experts), written: places of each
  int32_t* entries = nullptr;   // by place
  int32_t* rows = nullptr;      // by place: the entry's row
  ExpertTile* tiles = nullptr;  // most_expert_tiles at most
  int32_t* n_tiles = nullptr;
};
// Two kernels with a block of 512 threads for each expert, which reads `experts` whole; up to 8.1
// KiB of shared memory.
[[nodiscard]] cudaError_t launch_group_rows(const GroupRowsArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
