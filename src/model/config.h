// What a model is, as a list of features: the forward pass (forward_pass.h) is written once and
// driven by it, and an architecture is a row of these. Filled by the loaders, which check every
// value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/elementwise.h"

namespace prefold {

// kDynamic and kLongRope depend on the longest sequence that a run allows (--max-model-len), never
// on a sequence's own length: a token's KV is a function of the tokens up to it alone.
enum class RopeScaling { kNone, kLinear, kYarn, kLlama3, kDynamic, kLongRope };

struct RopeConfig {
  RopeKind kind = RopeKind::kInterleaved;
  double theta = 10000.0;
  int32_t rotary_dim = 0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  int32_t original_context = 0;
  // yarn (arXiv 2309.00071); attn_factor also longrope's, the finished one
  double attn_factor = 1.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  // llama3, longrope: the finished divisors of each frequency; rotary_dim / 2 values or none
  std::vector<float> frequency_factors;
  // longrope: those of runs that allow more than original_context positions
  std::vector<float> long_frequency_factors;
};

// Where queries and keys have a norm of their own, before they are rotated: each head by itself,
// with the same weights for all heads (kHead) or with weights of its own (kEachHead: stablelm,
// cohere), or all heads of a row as one vector (kRow: olmo2).
enum class QkNorm { kNone, kHead, kEachHead, kRow };

// Experts (arXiv 1701.06538): of the router's softmax a row takes the n_used highest, ties to the
// lower expert.
struct MoeConfig {
  int32_t n_experts = 0;  // 0: the model has none
  int32_t n_used = 0;
  int32_t ffn_size = 0;            // of one expert
  int32_t shared_ffn_size = 0;     // of the expert that every row takes; 0: none
  bool has_shared_gate = false;    // its output is scaled by sigmoid of a product with the row
  bool normalise_weights = false;  // the weights of the taken ones are made to sum to 1
};

struct LayerConfig {
  int32_t window = 0;    // positions a row sees at most, itself included; 0: all
  int32_t rope_idx = 0;  // which of ModelConfig::ropes; -1: positions are not told (NoPE)
  bool is_moe = false;
};

struct ModelConfig {
  std::string architecture;  // "llama"
  std::string name;
  int32_t n_layers = 0;
  int32_t hidden_size = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t ffn_size = 0;
  int32_t vocab_size = 0;
  int32_t context_length = 0;
  std::vector<LayerConfig> layers;  // n_layers
  std::vector<RopeConfig> ropes;    // of one rotary_dim and kind; gemma3 has two, gpt2 none

  NormKind norm_kind = NormKind::kRms;
  float norm_eps = 0.0f;
  bool has_pre_norm = true;        // of what attention and feed-forward read (not olmo2)
  bool has_post_norm = false;      // of what they give, before it is added (gemma2, olmo2)
  bool is_parallel = false;        // both read the same residual stream (gpt_neox, phi, cohere)
  bool has_parallel_norm = false;  // then: a norm for each (gpt_neox), or one for both
  QkNorm qk_norm = QkNorm::kNone;
  float qkv_clip = 0.0f;  // q, k, v are clamped to +-this; 0: not (olmo, olmoe)

  Activation activation = Activation::kSilu;
  bool has_gate = true;  // down(act(gate x) * up x), else down(act(up x))
  MoeConfig moe;

  float attention_scale = 0.0f;         // of q k^T
  float attention_softcap = 0.0f;       // s = cap * tanh(s / cap); 0: none (gemma2)
  float embedding_scale = 1.0f;         // gemma, granite
  float residual_scale = 1.0f;          // of what is added to the residual stream (granite)
  float logit_scale = 1.0f;             // cohere, granite
  float logit_softcap = 0.0f;           // after the scale; 0: none (gemma2)
  bool has_position_embedding = false;  // learned, added to the token's (gpt2)
  bool tied_embeddings = false;
};

}  // namespace prefold
