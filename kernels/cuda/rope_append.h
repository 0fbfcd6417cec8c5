// Rotary position embedding and the append of keys and values to the paged cache, in one launch.
//
// For every row: q is rotated in place; k is rotated and stored, and v stored, at the row's KV slot
// (k and v themselves stay as they are). A rotated pair is computed in f32 as
//   x0' = x0 * cos - x1 * sin,  x1' = x0 * sin + x1 * cos   (each one product and one fma)
// and rounded once to T. Elements past rotary_dim pass unchanged. RoFormer: arXiv 2104.09864.
//
// Each thread moves 16 bytes of a head, or two pieces of 4 elements where pairs lie rotary_dim / 2
// apart, or one pair where rotary_dim does not divide so. No shared memory; 56 registers or fewer.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

struct RopeAppendArgs {
  FloatType type = FloatType::kF16;  // of q, k, v and of the cache; kBf16 on sm_80 and later

  // (n_rows, n_heads * head_dim) and twice (n_rows, n_kv_heads * head_dim); strides in elements,
  // multiples of 8; aligned to 16 bytes.
  void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  int64_t q_stride = 0;
  int64_t k_stride = 0;
  int64_t v_stride = 0;
  int32_t n_rows = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;  // a multiple of 16

  // Cosines and sines, (n_positions, rotary_dim / 2) each, aligned to 32 bytes. A pair is
  // (2i, 2i + 1) if interleaved, else (i, i + rotary_dim / 2), as RopeKind in ops/elementwise.h.
  const float* cos = nullptr;
  const float* sin = nullptr;
  int32_t rotary_dim = 0;  // even, at most head_dim
  bool is_interleaved = false;

  const int32_t* positions = nullptr;  // (n_rows), each in [0, n_positions)
  // (n_rows): block id * kKvBlockTokens + offset in the block; -1: a padding row without KV.
  const int32_t* kv_slots = nullptr;
  // This layer's cache: (n_blocks, n_kv_heads, kKvBlockTokens, head_dim) each.
  void* k_cache = nullptr;
  void* v_cache = nullptr;
};

[[nodiscard]] cudaError_t launch_rope_append(const RopeAppendArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
