// All weights of a model, packed for the linear op.
#pragma once

#include <array>
#include <vector>

#include "model/config.h"
#include "model/lora.h"
#include "ops/input_order.h"
#include "ops/linear.h"
#include "ops/packed_matrix.h"

namespace prefold {

// Both empty: the norm has no parameters (olmo), or the layer has no such norm.
struct Norm {
  std::vector<float> weight, bias;
};

// A layer's matrix, which may take its inputs in another order than the rows have them.
struct LayerLinear : Linear {
  InputOrder input_order;
};

// The experts of a layer, by number; `router` gives a logit for each.
struct MoeWeights {
  Linear router;
  std::vector<Linear> gate, up, down;
  Linear shared_gate, shared_up, shared_down;
  Linear shared_router;  // one output: the shared expert's gate
};

// What a layer has of these is told by ModelConfig; what it lacks is empty.
struct LayerWeights {
  Norm attention_norm;
  LayerLinear q, k, v, o;
  Norm q_norm, k_norm;  // head_dim values, the same for each head, or those of all heads in order
  Norm attention_post_norm;
  Norm ffn_norm;
  LayerLinear gate, up, down;
  MoeWeights moe;
  Norm ffn_post_norm;
};

// What adapters add to one matrix: B (A x), of A: (rank, n_in) and B: (n_out, rank), scaled. By
// adapter + 1; those that leave the matrix alone are empty, and so is 0, of rows without an
// adapter. No entries at all if all leave it alone.
struct AdaptedMatrix {
  std::vector<Linear> a, b;
};

struct Adapters {
  int32_t n = 0;
  int32_t max_rank = 0;
  std::vector<std::array<AdaptedMatrix, kLoraSites>> layers;  // none without adapters

  const AdaptedMatrix& at(int32_t layer, LoraSite site) const {
    return layers[layer][static_cast<size_t>(site)];
  }
  size_t bytes() const;
};

struct Weights {
  PackedMatrix token_embedding;
  PackedMatrix position_embedding;  // (context, hidden_size), or empty
  std::vector<LayerWeights> layers;
  Norm final_norm;
  PackedMatrix lm_head;             // empty if tied: token_embedding serves
  std::vector<float> lm_head_bias;  // vocab_size values or none
  Adapters adapters;

  const PackedMatrix& output() const { return lm_head.n_out() > 0 ? lm_head : token_embedding; }
  size_t bytes() const;  // of all matrices and vectors
  // The most inputs that a matrix takes in another order; 0: none does.
  int32_t max_reordered() const;
};

}  // namespace prefold
