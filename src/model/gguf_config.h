// What GGUF metadata says of the model: sizes, heads and positions, which all architectures have,
// and the features of its own (gguf_features.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/gguf_metadata.h"
#include "model/stored_tensor.h"

namespace prefold {

// Throws FormatError naming key, value and what was wanted: an unknown architecture (with the known
// ones), a value out of range, a feature that the architecture is not known to have. `tensors` as
// in the file: some sizes and features follow from them. Frequency factors stored as tensors are
// left to the caller.
ModelConfig read_gguf_config(const GgufMetadata& metadata,
                             const std::vector<StoredTensor>& tensors);

}  // namespace prefold
