// What the readers of adapters have in common: a stored A and B become the matrices of a model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/hf_names.h"
#include "model/lora.h"

namespace prefold {

// Where a stored pair belongs: `use` says whether the matrix is several fused ones.
struct LoraPlace {
  std::string name;  // as stored, for messages
  int32_t layer = 0;
  std::string_view ours;  // of uses that are one matrix: "attn_q"
  TensorUse use = TensorUse::kPlain;
};

// How GGUF and Hugging Face call an architecture, and whether GGUF stores the rows of queries and
// keys in another order.
struct LoraArchitecture {
  std::string_view gguf, hf;
  bool permutes = false;
};
// Both names of a GGUF architecture, or of a model_type; null if it is unknown.
const LoraArchitecture* find_gguf_lora_architecture(std::string_view gguf);
bool is_same_architecture(std::string_view gguf, std::string_view hf);

// Checks both shapes and adds what they change, fused matrices one by one. order: of query and key
// rows. Throws FormatError naming `path` and the place.
void add_lora_pair(const std::string& path, const ModelConfig& config, const LoraPlace& place,
                   const StoredTensor& a, const StoredTensor& b, double scale, HeadOrder order,
                   std::vector<LoraMatrix>& matrices);

}  // namespace prefold
