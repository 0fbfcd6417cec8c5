// All weights of a model, packed for the linear op.
#pragma once

#include <vector>

#include "model/config.h"
#include "ops/packed_matrix.h"

namespace prefold {

// A matrix with an optional bias (empty: none).
struct Linear {
  PackedMatrix weight;
  std::vector<float> bias;
};

struct LayerWeights {
  std::vector<float> attention_norm;
  Linear q, k, v, o;
  std::vector<float> ffn_norm;
  Linear gate, up, down;
};

struct Weights {
  PackedMatrix token_embedding;
  std::vector<LayerWeights> layers;
  std::vector<float> final_norm;
  PackedMatrix lm_head;  // empty if tied: token_embedding serves

  const PackedMatrix& output() const { return lm_head.n_out() > 0 ? lm_head : token_embedding; }
  size_t bytes() const;  // of all matrices and vectors
};

}  // namespace prefold
