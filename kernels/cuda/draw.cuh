// How a token is drawn in walks over its row that any number of blocks share.
//
// A row lies in pieces of kDrawPiece ids, each a warp's. First walk: where tokens may be cut off,
// the row's amounts (counts for top_k, masses for top_p) by distance from the best logit, else the
// mass of each piece. These tell the bin in which the last token kept lies. Second walk, where
// there is a cut: the tokens of that bin (for top_k also those before it) are noted as candidates,
// and of each piece the mass of tokens that are kept in any case. What remains is a few thousand
// numbers, for one block (sampling.cu): exact cuts among the candidates, then the piece and in it
// the token at which the running sum, in order of id, reaches u times all. Candidates that do not
// fit are taken from the row again, by that block.
#pragma once

#include <cstddef>

#include "kernels/cuda/logprob.cuh"
#include "kernels/cuda/sampling.h"
#include "kernels/cuda/select.cuh"

namespace prefold::cuda {

constexpr float kGreedyBelow = 1e-5f;  // as the CPU's sampler
// Distances from the best logit, in units of the temperature, from which on a mass is 0: e^-28 is
// less than 2^-40.
constexpr float kMassRange = 28.0f;

enum class Cut : uint8_t { kNone, kTopK, kTopP };  // the first of a draw: top_k before top_p

struct Draw {
  Weights rule;  // without cuts
  DistanceBins<kDrawBins> bins{0.0f, 1.0f};
  float lowest = 0.0f;  // below it a token has no mass, and is not counted either
  Cut cut = Cut::kNone;
  uint64_t top_k = 0;
  float top_p = 1.0f;
};

__device__ inline Draw draw_of(const SamplerSlot& slot, float max_logit, int32_t n_vocab) {
  Draw draw;
  draw.rule = weights_of(max_logit, slot.temperature, fminf(slot.min_p, 1.0f));
  const float range = kMassRange * slot.temperature;
  draw.lowest = fmaxf(max_logit - range, -3.402823466e38f);
  draw.top_k = static_cast<uint64_t>(slot.top_k);
  draw.top_p = slot.top_p;
  if (slot.top_k > 0 && slot.top_k < n_vocab) {
    draw.cut = Cut::kTopK;
    draw.bins = {max_logit, range};
  } else if (slot.top_p < 1.0f) {
    // All tokens that are further away together have less than the best one's 1 - top_p: so the
    // last one kept lies nearer, but for rounding, and bins need not reach further.
    const float furthest =
        logf(static_cast<float>(n_vocab)) - logf(fmaxf(1.0f - slot.top_p, 0x1p-24f));
    draw.cut = Cut::kTopP;
    draw.bins = {max_logit, fminf(kMassRange, fmaxf(furthest, 1.0f)) * slot.temperature};
  }
  return draw;
}

// Whether the token may have mass: false for NaN and infinity too.
__device__ inline bool counts(const Draw& draw, float logit) {
  return logit >= draw.lowest && logit <= draw.rule.max_logit;
}

// What the first cut adds up: 0 for tokens that do not count.
__device__ inline uint64_t amount_of(const Draw& draw, float logit) {
  if (draw.cut == Cut::kTopP) return mass_of(draw.rule, logit);
  return counts(draw, logit) ? 1 : 0;
}

__device__ inline uint64_t share_of(float top_p, uint64_t total) {
  const double share = static_cast<double>(top_p) * static_cast<double>(total);
  const uint64_t needed = __double2ull_ru(share);
  return min(max(needed, uint64_t{1}), total);
}

// Tokens of bins below first_bin are kept, those of bins above last_bin are not; those between are
// the candidates, of which the best whose amounts reach `needed` are kept (0: all).
struct DrawCut {
  int32_t first_bin;
  int32_t last_bin;
  uint64_t needed;
};

// From the sums of the first walk. By each warp for itself.
__device__ inline DrawCut cut_of(const Draw& draw, const DrawState& state) {
  constexpr int kEach = kDrawBins / 32;
  uint64_t amounts[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) amounts[i] = state.amounts[i * 32 + threadIdx.x % 32];
  uint64_t needed = draw.top_k;
  const Place found = place_in_warp(amounts, [&](uint64_t total) {
    if (draw.cut == Cut::kTopP) needed = share_of(draw.top_p, total);
    return needed;
  });
  if (draw.cut == Cut::kTopP) return {found.at, found.at, needed - found.before};
  if (found.at < 0) return {0, kDrawBins - 1, 0};
  return {0, found.at, needed};
}

// An item as the blocks of its row see it.
struct ItemScratch {
  TokenItem item;
  SamplerSlot slot;  // as it was before this item
};

// Loads the block's item and its slot, zeros if it is a score.
__device__ inline void load_item(const SamplingArgs& args, int item_idx, ItemScratch& scratch) {
  constexpr int kItemWords = sizeof(TokenItem) / 4;
  constexpr int kSlotWords = offsetof(SamplerSlot, counts_outputs) / 4 + 1;  // without padding
  static_assert(kItemWords <= 32 && kSlotWords <= 32);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < 32) {
    const auto* from = reinterpret_cast<const uint32_t*>(args.items + item_idx);
    if (thread < kItemWords) reinterpret_cast<uint32_t*>(&scratch.item)[thread] = from[thread];
    __syncwarp();
    if (thread < kSlotWords) {
      const auto* slot = reinterpret_cast<const uint32_t*>(args.slots + scratch.item.slot);
      reinterpret_cast<uint32_t*>(&scratch.slot)[thread] = scratch.item.is_score ? 0 : slot[thread];
    }
  }
  __syncthreads();
}

// Of the logits that a token is drawn from.
__device__ inline const LogitsPart* drawn_parts(const SamplingArgs& args, int item_idx,
                                                const SamplerSlot& slot) {
  const LogitsPart* parts = slot.n_changes > 0 ? args.changed_parts : args.parts;
  return parts + static_cast<int64_t>(item_idx) * n_logits_chunks(args.n_vocab);
}

}  // namespace prefold::cuda
