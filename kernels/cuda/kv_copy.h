// Copies of KV blocks before a step: a partly filled block that several sequences go on from.
//
// The copies happen in order, in every layer: a block may be written by one and read by a later one
// (StepPlan::copies). Each thread owns certain 16-byte pieces of every block and walks the whole
// list, so the order is kept without any synchronisation. No shared memory; 48 registers or fewer.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"
#include "plan/row_span.h"

namespace prefold::cuda {

struct KvCopyArgs {
  FloatType type = FloatType::kF16;
  // (n_layers, n_blocks, n_kv_heads, kKvBlockTokens, head_dim) each, aligned to 16 bytes.
  void* k = nullptr;
  void* v = nullptr;
  int32_t n_layers = 0;
  int32_t n_blocks = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;               // a multiple of 16
  const BlockCopy* copies = nullptr;  // device memory; n_tokens at most kKvBlockTokens
  int32_t n_copies = 0;               // 0: nothing is launched
};

[[nodiscard]] cudaError_t launch_kv_copy(const KvCopyArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
