// The tensors of a llama model in a GGUF file: their names and shapes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/gguf.h"

namespace prefold {

inline constexpr std::string_view kTokenEmbedding = "token_embd.weight";
inline constexpr std::string_view kOutputNorm = "output_norm.weight";
inline constexpr std::string_view kOutput = "output.weight";
// Divisors of the rotary frequencies (llama3 scaling); read into RopeConfig, no weight.
inline constexpr std::string_view kRopeFactors = "rope_freqs.weight";

// "blk.3.attn_q.weight"
std::string layer_tensor(int32_t layer, std::string_view part, std::string_view suffix = "weight");

const StoredTensor* find_tensor(const std::vector<StoredTensor>& tensors, std::string_view name);

// Every tensor the model needs is there in its one shape, vectors are plain floats, and nothing is
// there that the model would not use. Throws FormatError naming the tensor, both shapes, and
// `path`.
void check_llama_tensors(std::string_view path, const ModelConfig& config,
                         const std::vector<StoredTensor>& tensors);

}  // namespace prefold
