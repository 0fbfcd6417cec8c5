// What a model file holds and what running it takes, for `prefold inspect`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/model_file.h"

namespace prefold {

struct TensorTypeUse {
  TensorType type = TensorType::kF32;
  int32_t n_tensors = 0;
  size_t n_bytes = 0;
};

struct ModelSummary {
  std::vector<TensorTypeUse> types;  // largest first
  size_t weight_bytes = 0;           // of all tensors as stored
  int64_t kv_bytes_per_token = 0;    // all layers, K and V in f32
  int64_t full_context_bytes = 0;    // weights and the KV of one sequence of the full context
};

ModelSummary summarise(const ModelFile& model);

// Lines of "name  value", ended by a newline; text from the file is made printable.
std::string render_inspection(const ModelFile& model);

}  // namespace prefold
