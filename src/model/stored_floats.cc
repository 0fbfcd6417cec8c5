#include "model/stored_floats.h"

#include <cstring>

#include "base/check.h"
#include "base/half.h"

namespace prefold {

std::vector<float> read_floats(const MappedFile& file, const StoredTensor& tensor) {
  const auto stored = file.bytes().subspan(tensor.offset, tensor.n_bytes);
  std::vector<float> values(static_cast<size_t>(n_elements(tensor)));
  if (tensor.type == TensorType::kF32) {
    std::memcpy(values.data(), stored.data(), stored.size());
    return values;
  }
  CHECK(tensor.type == TensorType::kF16 || tensor.type == TensorType::kBF16);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, stored.data() + i * sizeof(half), sizeof(half));
    values[i] = tensor.type == TensorType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
  }
  return values;
}

}  // namespace prefold
