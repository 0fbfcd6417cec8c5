// What a model is, as a list of features: the forward pass (forward_pass.h) is written once and
// driven by it. Filled by the loaders, which check every value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/elementwise.h"

namespace prefold {

enum class RopeScaling { kNone, kLinear, kYarn, kLlama3 };

struct RopeConfig {
  RopeKind kind = RopeKind::kInterleaved;
  double theta = 10000.0;
  int32_t rotary_dim = 0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  int32_t original_context = 0;
  // yarn (arXiv 2309.00071)
  double attn_factor = 1.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  // llama3: GGUF carries the finished divisors of each frequency; rotary_dim / 2 values or none
  std::vector<float> frequency_factors;
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
  float norm_eps = 0.0f;
  bool tied_embeddings = false;
  RopeConfig rope;
};

}  // namespace prefold
