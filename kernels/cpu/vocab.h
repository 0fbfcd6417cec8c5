// Kernels over one row of logits, one value for each token of the vocabulary.
//
// Sums run over tiles of kVocabTile ids, from id 0 on, which are those of the LM head's products:
// inside a tile on 16 lanes and one tree, so the bits are the same on every instruction set; the
// caller merges tiles in index order. A logit that is NaN or infinite counts as minus infinity
// everywhere.
#pragma once

#include <cstdint>

namespace prefold {

inline constexpr int32_t kVocabTile = 256;

// weight(id) = exp((logit - max_logit) / temperature), 0 where that is less than min_weight.
// max_logit must be finite and no lower than any logit.
struct VocabWeights {
  float max_logit = 0.0f;
  float temperature = 1.0f;  // > 0
  float min_weight = 0.0f;
};

struct TileWeight {
  float highest = 0.0f;  // minus infinity if no logit is finite; sum is 0 then
  float sum = 0.0f;      // of exp(logit - highest)
};

struct VocabKernels {
  float (*highest)(const float* logits, int32_t n);  // minus infinity if no logit is finite

  // Of the n <= kVocabTile logits of one tile.
  TileWeight (*weigh_tile)(const float* logits, int32_t n);

  // sums[t] = sum of the weights of tile t, for all (n + kVocabTile - 1) / kVocabTile tiles.
  void (*tile_sums)(const float* logits, int32_t n, const VocabWeights& rule, float* sums);

  // weights[i] = weight of logits[i], i < n: the addends of tile_sums. `weights` may be `logits`.
  void (*weights)(const float* logits, int32_t n, const VocabWeights& rule, float* weights);

  // Writes the places in [begin, end) whose logit is finite and greater than `above` to `ids`, in
  // order, and returns how many. ids has room for end - begin.
  int32_t (*collect_above)(const float* logits, int32_t begin, int32_t end, float above,
                           int32_t* ids);
};

}  // namespace prefold
