// The architectures that GGUF files have: a row of a table and a function that fills in its
// features, under llama.cpp's names.
#pragma once

#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/gguf_keys.h"
#include "model/stored_tensor.h"

namespace prefold {

using GgufFeaturesFn = void (*)(const GgufKeys& keys, const std::vector<StoredTensor>& tensors,
                                ModelConfig& config);

struct GgufArchitecture {
  std::string_view name;
  RopeKind rope = RopeKind::kHalf;
  GgufFeaturesFn read_features = nullptr;
  // Names of keys that change the forward pass which it reads, of those that most do not have.
  std::vector<std::string_view> features = {};
  bool has_rope = true;
  double default_theta = 10000.0;
};

// That of general.architecture. Throws FormatError, with the known ones, for any other.
const GgufArchitecture& find_gguf_architecture(const GgufMetadata& metadata);

}  // namespace prefold
