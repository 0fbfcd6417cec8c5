// The first look at logits: of each chunk of the vocabulary the best token and, where
// log-probabilities are asked for, the sum of exp(logit - the chunk's best).
//
// Chunks are fixed, sums are made by a fixed tree: bits depend on the row alone. A logit that is
// NaN or infinite counts as minus infinity. Ties go to the lower id.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/sampler_slots.h"

namespace prefold::cuda {

inline constexpr int32_t kLogitsChunk = 8192;
__host__ __device__ constexpr int32_t n_logits_chunks(int32_t n_vocab) {
  return (n_vocab + kLogitsChunk - 1) / kLogitsChunk;
}

struct alignas(16) LogitsPart {
  float logit = 0.0f;  // minus infinity if no logit is finite
  int32_t id = 0;
  float sum = 0.0f;  // where the item wants a log-probability
  int32_t unused = 0;
};

struct LogitsPartsArgs {
  const float* logits = nullptr;  // row i is of item i; 16-byte aligned
  int64_t stride = 0;             // elements between rows: a multiple of 4
  int32_t n_vocab = 0;
  const TokenItem* items = nullptr;
  int32_t n_items = 0;          // 0: nothing is launched
  LogitsPart* parts = nullptr;  // (n_items, n_logits_chunks(n_vocab))
  // Not null: only of draws whose slots change logits, and no sums.
  const SamplerSlot* only_changed = nullptr;
};

// A block of 256 threads for each chunk and row; each logit is read once, into registers (at most
// 52 in all). 96 bytes of shared memory.
[[nodiscard]] cudaError_t launch_logits_parts(const LogitsPartsArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
