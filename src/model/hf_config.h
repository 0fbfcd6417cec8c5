// config.json of a Hugging Face model: an architecture is a row of a table, with its defaults and a
// function that fills in its features. What transformers' configuration classes do when a key is
// absent is done here too.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/json_object.h"

namespace prefold {

// How the names of an architecture's tensors become those of model_tensors.h.
enum class HfNames : uint8_t { kLlama, kGpt2, kGptNeoX };

// Whether a kind of tensor is there ("attn_q.bias"): config.json says so, and the tensors must
// agree.
struct HfPresence {
  std::string kind;
  bool is_there = false;
  std::string because;  // "attention_bias"
};

struct HfModel {
  ModelConfig config;
  HfNames names = HfNames::kLlama;
  bool norms_plus_one = false;   // stored norm weights are one less than what is meant (gemma)
  bool has_other_parts = false;  // tensors of a vision tower beside the language model's
  std::vector<HfPresence> presence;
};

// Checks every value that the forward pass depends on. A key that sounds as if it changed the
// forward pass, of an architecture that does not know it, is an error unless its value is neutral
// (null, false, 0, 1, empty). Throws FormatError.
HfModel read_hf_config(const std::string& path, const nlohmann::json& root);

// "cohere, gemma, ..."
std::string known_hf_architectures();

}  // namespace prefold
