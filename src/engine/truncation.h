// Selection among logits: the best k, top_p and the draw, without sorting the vocabulary.
//
// Among candidates weights are integers, in units of 2^-40 of the best token's: their sums are
// exact, so neither the order of the candidates nor lighter ones besides them change what is
// chosen.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/vocab.h"

namespace prefold {

struct TokenLogit {
  float logit = 0.0f;
  int32_t id = 0;
};

struct Candidate {
  float logit = 0.0f;
  int32_t id = 0;
  uint64_t mass = 0;  // weight in units of 2^-40
};

// The one order among tokens: more probable first, ties to the lower id.
template <typename Token>
bool is_better(const Token& a, const Token& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// The k best of the finite logits shown so far, fewer if there were not that many, and at times
// some more.
struct TopList {
  int32_t k = 0;                    // 0: nothing may be shown to it
  float above = -__builtin_inff();  // a logit up to this is not one of the k best
  std::vector<TokenLogit> tokens;   // at most 2 k + kVocabTile
};

struct ReplacedLogit {
  int32_t at = 0;
  float logit = 0.0f;  // before
};

// What sampling needs besides its arguments: allocated once, used by one thread at a time.
// 16 bytes a token of the vocabulary, taken as they are used.
struct SamplerScratch {
  explicit SamplerScratch(int32_t n_vocab);

  TopList best;
  std::vector<Candidate> candidates;
  std::vector<ReplacedLogit> replaced;
  std::vector<float> tile_sums;
  std::array<int32_t, kVocabTile> tile_ids;
  std::array<float, kVocabTile> tile_values;
};

// Empties the list; its memory stays.
void start_list(int32_t k, TopList& list);

// Shows logits, the first of which is of first_id, to a list. Tiles may come in any order and be
// spread over several lists, which merge_list makes one; finish_list leaves the k best, best first.
void show_logits(const VocabKernels& kernels, std::span<const float> logits, int32_t first_id,
                 SamplerScratch& scratch, TopList& list);
void merge_list(const TopList& other, TopList& list);
void finish_list(TopList& list);

// The first of `best` in vocabulary order at which the running sum of weights exceeds u times their
// total, u in [0, 1), after all but the fewest best ones that hold at least top_p of the weight
// (>= 1: none) have lost theirs; never one without weight. `best` is not empty, in any order.
int32_t draw_from_best(const VocabKernels& kernels, std::span<const TokenLogit> best,
                       const VocabWeights& rule, float top_p, double u, SamplerScratch& scratch);

// The same from all logits of a row, at least one of them finite. The total is that of tiles of f32
// weights added in index order in double; without top_p so is the running sum.
int32_t draw_from_row(const VocabKernels& kernels, std::span<const float> logits,
                      const VocabWeights& rule, float top_p, double u, SamplerScratch& scratch);

}  // namespace prefold
