// From logits and their parts (logits.h) to tokens and log-probabilities, and the slots' new state.
//
// The rules are those of src/engine/sampler.h, and its weights; each is an integer in units of
// 2^-40 of the best token's, so every sum is exact and no order of addition changes a token. Where
// the CPU adds f32 weights (it does for a whole row) the two may differ, if u or top_p falls within
// rounding of a border, and nowhere else.
//
// Selection without sorting: one histogram over the distance from the best logit, by count for
// top_k and by mass for top_p, says in which of 1024 bins the boundary lies; the tokens of that bin
// are collected in shared memory, where a radix selection over (logit, id) finds the last one kept.
// If they do not fit, the radix selection walks the row.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/logits.h"
#include "kernels/cuda/sampler_slots.h"

namespace prefold::cuda {

struct SamplingArgs {
  // Row i is of item i, 16-byte aligned; those whose slots change logits are left changed.
  float* logits = nullptr;
  int64_t stride = 0;   // elements between rows: a multiple of 4
  int32_t n_vocab = 0;  // at most 2^23: sums of weights fit in 64 bits
  const TokenItem* items = nullptr;
  int32_t n_items = 0;                // 0: nothing is launched
  const LogitsPart* parts = nullptr;  // of these rows
  SamplerSlot* slots = nullptr;       // a slot is named by at most one item
  int32_t* last_tokens = nullptr;     // by slot
  ChangePool pool;
  TokenResult* item_results = nullptr;  // (n_items): the token, its logprob where wanted
  TokenResult* top_results = nullptr;   // item i's best at first_top; see TokenItem
};

// A block of 1024 threads an item, 25 KiB of static shared memory, at most 64 registers: one block
// a multiprocessor, so as many items as multiprocessors are under way. A greedy item without
// log-probabilities and changes ends after a look at its parts; a draw walks the row once, and
// twice more for each of top_k and top_p; a list of best tokens takes three walks.
[[nodiscard]] cudaError_t launch_sampling(const SamplingArgs& args, cudaStream_t stream);

}  // namespace prefold::cuda
