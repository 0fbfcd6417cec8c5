// Selection over one row of logits: the best k, top_k, top_p and the draw, without sorting the
// vocabulary. All of it narrows one rule, VocabWeights, that says which tokens still have weight.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/vocab.h"

namespace prefold {

struct Candidate {
  float logit = 0.0f;
  int32_t id = 0;
  uint64_t mass = 0;  // weight in units of 2^-40: sums are exact, so their order does not matter
};

// The one order among tokens: more probable first, ties to the lower id.
inline bool is_better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

struct ReplacedLogit {
  int32_t at = 0;
  float logit = 0.0f;  // before
};

// What sampling needs besides its arguments: allocated once, used by one thread at a time.
// 16 bytes a token of the vocabulary.
struct SamplerScratch {
  explicit SamplerScratch(int32_t n_vocab);

  std::vector<Candidate> candidates;
  std::vector<ReplacedLogit> replaced;
  std::vector<float> tile_sums;
  std::array<int32_t, kVocabTile> tile_ids;
  std::array<float, kVocabTile> tile_values;
};

// The k >= 1 best finite tokens (fewer if there are not that many), in scratch.candidates, the last
// of them at the end and the others in no particular order.
std::span<Candidate> find_best(const VocabKernels& kernels, std::span<const float> logits,
                               int32_t k, SamplerScratch& scratch);

// Sum of all weights: tiles in index order, in double.
double total_weight(const VocabKernels& kernels, std::span<const float> logits,
                    const VocabWeights& rule, SamplerScratch& scratch);

// Narrows `rule` to its best top_k tokens (0: all), then to the smallest set of best ones that hold
// at least top_p of the weight left (>= 1: all).
void truncate(const VocabKernels& kernels, std::span<const float> logits, int32_t top_k,
              float top_p, VocabWeights& rule, SamplerScratch& scratch);

// The first id at which the running sum of weights exceeds u times their total, u in [0, 1); never
// an id without weight. At least one weight must be positive.
int32_t draw(const VocabKernels& kernels, std::span<const float> logits, const VocabWeights& rule,
             double u, SamplerScratch& scratch);

}  // namespace prefold
