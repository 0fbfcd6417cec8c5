// Rotary embeddings as config.json describes them, in the older spelling (rope_theta, rope_scaling,
// partial_rotary_factor) or the newer one (rope_parameters).
#pragma once

#include "model/config.h"
#include "model/json_object.h"

namespace prefold {

// What holds where config.json is silent, and gpt_neox's own names.
struct HfRopeDefaults {
  double theta = 10000.0;
  double partial = 1.0;  // of each head's elements
  std::string_view theta_key = "rope_theta";
  std::string_view partial_key = "partial_rotary_factor";
  bool is_phi3 = false;  // older names of longrope
};

// config.head_dim and context_length are known. Fills config.ropes with one rope. Where it is
// dynamic, the context grows by its factor: shorter runs would not be scaled at all.
void read_hf_rope(const JsonObject& json, const HfRopeDefaults& defaults, ModelConfig& config);

// gemma3's two: of full attention (first), and of sliding windows.
void read_hf_rope_by_layer_type(const JsonObject& json, double full_theta, double sliding_theta,
                                ModelConfig& config);

}  // namespace prefold
