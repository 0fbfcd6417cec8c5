// A tensor of a model file: where its bytes lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/tensor_type.h"

namespace prefold {

struct StoredTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;  // outermost first: (rows, columns) for a matrix
  int32_t file = 0;            // which of ModelFile::files
  size_t offset = 0;           // into the file
  size_t n_bytes = 0;
};

// The product of the shape; of a parsed tensor it cannot overflow.
int64_t n_elements(const StoredTensor& tensor);

}  // namespace prefold
