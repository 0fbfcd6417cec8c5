// Kernels over one row of logits, one value for each token of the vocabulary.
//
// Sums run over fixed tiles of kVocabTile ids: inside a tile on 16 lanes and one tree, so the bits
// are the same on every instruction set; the caller merges tiles in index order. A logit that is
// NaN or infinite counts as minus infinity everywhere.
#pragma once

#include <cstdint>

namespace prefold {

inline constexpr int32_t kVocabTile = 1024;

struct BestLogit {
  float logit = 0.0f;  // minus infinity if no logit is finite; id is 0 then
  int32_t id = 0;      // the lowest id that has this logit
};

// weight(id) = exp((logit - max_logit) / temperature) for a kept id, 0 for the others. Kept are ids
// whose logit is above min_logit, or equal to it with id < tie_end, and whose weight is at least
// min_weight. max_logit must be finite and no lower than any kept logit.
struct VocabWeights {
  float max_logit = 0.0f;
  float temperature = 1.0f;  // > 0
  float min_weight = 0.0f;
  float min_logit = -__builtin_inff();
  int32_t tie_end = 0;
};

struct VocabKernels {
  float (*highest)(const float* logits, int32_t n);  // minus infinity if no logit is finite

  BestLogit (*argmax)(const float* logits, int32_t n);

  // sums[t] = sum of the weights of tile t, for all (n + kVocabTile - 1) / kVocabTile tiles.
  void (*tile_sums)(const float* logits, int32_t n, const VocabWeights& rule, float* sums);

  // weights[i] = weight(begin + i) for ids in [begin, end): the addends of tile_sums.
  // `weights` may be logits + begin.
  void (*weights)(const float* logits, int32_t begin, int32_t end, const VocabWeights& rule,
                  float* weights);

  // Writes the ids in [begin, end) whose logit is finite and greater than `above` to `ids`, in
  // order, and returns how many. ids has room for end - begin.
  int32_t (*collect_above)(const float* logits, int32_t begin, int32_t end, float above,
                           int32_t* ids);
};

}  // namespace prefold
