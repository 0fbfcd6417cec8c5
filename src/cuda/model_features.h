// What a model may ask for that the CUDA engine does not have.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"

namespace prefold::cuda {

// By name; empty if the engine has all that this model needs.
std::vector<std::string> missing_features(const ModelConfig& config);

}  // namespace prefold::cuda
