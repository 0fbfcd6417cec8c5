// Rows of the embedding matrix: the input of the first layer.
//
//   hidden[row] = f32(table[id]),  id = token_ids[row], or last_tokens[input_slots[row]] where that
//                                  is kTokenFromSlot
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

inline constexpr int32_t kTokenFromSlot = -1;  // StepPlan::kFromSlot

struct EmbedArgs {
  const int32_t* token_ids = nullptr;    // (n_rows)
  const int32_t* input_slots = nullptr;  // (n_rows); read where token_ids is kTokenFromSlot
  const int32_t* last_tokens = nullptr;  // by slot: what it sampled last (sampling.h)
  int32_t n_rows = 0;                    // 0: nothing is launched
  int32_t n_cols = 0;                    // a multiple of 32
  const void* table = nullptr;  // (n_vocab, n_cols) of table_type, contiguous, 16-byte aligned
  FloatType table_type = FloatType::kF16;
  float* hidden = nullptr;  // (n_rows, n_cols), contiguous, 16-byte aligned
};

[[nodiscard]] cudaError_t launch_embed(const EmbedArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
