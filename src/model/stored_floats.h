// Small tensors of plain floats (norms, biases) as f32.
#pragma once

#include <vector>

#include "base/mapped_file.h"
#include "model/gguf.h"

namespace prefold {

// The values of an F32, F16 or BF16 tensor of `file`.
std::vector<float> read_floats(const MappedFile& file, const StoredTensor& tensor);

}  // namespace prefold
