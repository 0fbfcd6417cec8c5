// Rows of the embedding matrix: the input of the first layer.
//
//   hidden[row] = scale * table[id] + position_table[positions[row]],
//                 id = token_ids[row], or last_tokens[input_slots[row]] where that is
//                 kTokenFromSlot
//
// in f32: dense values are widened, quantised ones are d * q + m rounded once; then a product and a
// sum, each rounded.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

inline constexpr int32_t kTokenFromSlot = -1;  // StepPlan::kFromSlot

struct EmbedArgs {
  const int32_t* token_ids = nullptr;    // (n_rows)
  const int32_t* input_slots = nullptr;  // (n_rows); read where token_ids is kTokenFromSlot
  const int32_t* last_tokens = nullptr;  // by slot: what it sampled last (sampling.h)
  int32_t n_rows = 0;                    // 0: nothing is launched
  DeviceMatrix table;                    // n_out: the vocabulary; n_in: the columns of hidden
  float* hidden = nullptr;               // (n_rows, n_in), contiguous, 16-byte aligned
  float scale = 1.0f;
  const float* position_table = nullptr;  // (positions, n_in), 16-byte aligned; null: none
  const int32_t* positions = nullptr;     // (n_rows); read if there is a position_table
};

// A block of 256 threads a row, no shared memory. Of a quantised table a row's quants lie 16 (kW4)
// or 32 bytes (kW8) at a time and its scales apart, so whole sectors are read for less: 64 or 96
// bytes for 32 columns.
[[nodiscard]] cudaError_t launch_embed(const EmbedArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
