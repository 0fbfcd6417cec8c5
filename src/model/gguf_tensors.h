// The tensors of a GGUF model under the names of model_tensors.h, of which most are theirs: fused
// ones are cut apart.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/stored_tensor.h"

namespace prefold {

// Divisors of the rotary frequencies, stored as tensors: of llama3, and longrope's two sets.
inline constexpr std::string_view kRopeFactors = "rope_freqs.weight";
inline constexpr std::string_view kShortRopeFactors = "rope_factors_short.weight";
inline constexpr std::string_view kLongRopeFactors = "rope_factors_long.weight";

// Takes what is no weight (the factors above, tables of old converters) out. Throws FormatError
// naming a tensor whose shape cannot be cut.
std::vector<StoredTensor> cut_gguf_tensors(const std::string& path, const ModelConfig& config,
                                           std::vector<StoredTensor> tensors);

}  // namespace prefold
