// The features of each architecture that config.json can name: one function each.
#pragma once

#include <string>
#include <string_view>

#include "model/hf_config.h"

namespace prefold {

// Defaults of a transformers configuration class.
struct HfDefaults {
  int32_t vocab_size, hidden_size, ffn_size, n_layers, n_heads;
  int32_t n_kv_heads;  // 0: as many as heads
  int32_t context_length;
  double norm_eps;
  std::string_view activation;
  bool tied;
  int32_t head_dim = 0;  // 0: hidden_size / n_heads
};

// The names of the keys that not all classes share.
struct HfKeys {
  std::string_view hidden_size = "hidden_size", ffn_size = "intermediate_size";
  std::string_view n_layers = "num_hidden_layers", n_heads = "num_attention_heads";
  std::string_view context_length = "max_position_embeddings", norm_eps = "rms_norm_eps";
  std::string_view activation = "hidden_act";
};

// The sizes are read; the function does the rest. `model.config` starts as a model of the llama
// kind: RMS norms before each block, a gate with SiLU, attention_scale by head_dim.
using HfFeaturesFn = void (*)(const JsonObject& json, HfModel& model);

struct HfArchitecture {
  std::string_view model_type;
  HfDefaults defaults;
  HfFeaturesFn read_features;
  HfKeys keys = {};
  HfNames names = HfNames::kLlama;
};

// Null if there is none of that name.
const HfArchitecture* find_hf_architecture(std::string_view model_type);
std::span<const HfArchitecture> hf_architectures();

}  // namespace prefold
