// From logits and their parts (logits.h) to tokens and log-probabilities, and the slots' new state.
//
// The rules are those of src/engine/sampler.h, and its weights; each is an integer in units of
// 2^-40 of the best token's, so every sum is exact and no order of addition changes a token: it
// does not depend on the number of blocks that walk a row, nor on the rows beside it. Where the CPU
// adds f32 weights (it does for a whole row) the two may differ, if u or top_p falls within
// rounding of a border, and nowhere else.
//
// The launches of some rows, in this order, with the same arguments:
//   launch_logits_parts                   of logits.h
//   launch_top_tokens                     if an item has n_top > 0
//   launch_change_logits, then            if a slot changes logits
//     launch_logits_parts again           into changed_parts, for those slots
//   launch_weigh_draws                    if a slot is not greedy
//   launch_keep_draws                     if such a slot has top_k or top_p
//   launch_sampling
// A draw walks its row once, with top_k or top_p or both twice (draw.cuh says how); if logits
// change, once more. Only where more than kMaxCandidates tokens are as good as the last one kept,
// or that many are kept by top_k, one block goes over the row again, up to 26 times.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/logits.h"
#include "kernels/cuda/sampler_slots.h"

namespace prefold::cuda {

inline constexpr int32_t kDrawBins = 128;
inline constexpr int32_t kMaxCandidates = 4096;  // that a selection takes from a row
inline constexpr int32_t kDrawPiece = 1024;      // ids that a warp walks over

// Rounded up to a multiple of 4, whole sectors of sums: the last ones may be empty.
__host__ __device__ constexpr int32_t n_draw_pieces(int32_t n_vocab) {
  return (n_vocab + 4 * kDrawPiece - 1) / (4 * kDrawPiece) * 4;
}

// What the blocks of a row add up, of a draw.
struct alignas(32) DrawState {
  unsigned long long amounts[kDrawBins];  // of bin b at b % 4 * 32 + b / 4: lanes side by side
  int32_t n_candidates;                   // also those there was no room for
};

struct SamplingArgs {
  // Row i is of item i, 16-byte aligned; those whose slots change logits are left changed.
  float* logits = nullptr;
  int64_t stride = 0;   // elements between rows: a multiple of 4
  int32_t n_vocab = 0;  // at most 2^23: sums of weights fit in 64 bits
  const TokenItem* items = nullptr;
  int32_t n_items = 0;                        // 0: nothing is launched
  const LogitsPart* parts = nullptr;          // of these rows
  const LogitsPart* changed_parts = nullptr;  // of those whose slots change logits, afterwards
  SamplerSlot* slots = nullptr;               // a slot is named by at most one item
  int32_t* last_tokens = nullptr;             // by slot
  ChangePool pool;
  TokenResult* item_results = nullptr;  // (n_items): the token, its logprob where wanted
  TokenResult* top_results = nullptr;   // item i's best at first_top; see TokenItem

  // Between the launches of a draw; 32-byte aligned.
  DrawState* draws = nullptr;                  // (n_items)
  uint64_t* candidates = nullptr;              // (n_items, kMaxCandidates): ranks
  unsigned long long* piece_masses = nullptr;  // (n_items, n_draw_pieces(n_vocab))
  int32_t n_row_blocks = 1;                    // that walk a row of a draw together
};

// The best tokens of the rows that want them, by their logits before changes. A block of 1024
// threads an item, 45 KiB of static shared memory; two walks over the row.
[[nodiscard]] cudaError_t launch_top_tokens(const SamplingArgs& args, cudaStream_t stream);

// A block of 128 threads an item.
[[nodiscard]] cudaError_t launch_change_logits(const SamplingArgs& args, cudaStream_t stream);

// n_row_blocks blocks of 256 threads an item; 16 KiB of static shared memory. Clears the draws
// first.
[[nodiscard]] cudaError_t launch_weigh_draws(const SamplingArgs& args, cudaStream_t stream);

// n_row_blocks blocks of 256 threads an item.
[[nodiscard]] cudaError_t launch_keep_draws(const SamplingArgs& args, cudaStream_t stream);

// A block of 256 threads an item, 37 KiB of static shared memory.
[[nodiscard]] cudaError_t launch_sampling(const SamplingArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
