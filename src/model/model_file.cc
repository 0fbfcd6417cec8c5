#include "model/model_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/half.h"
#include "model/gguf.h"
#include "model/load_gguf.h"

namespace prefold {

ModelFile open_model(const std::string& path) {
  MappedFile file(path);
  if (is_gguf(file.bytes())) return load_gguf(std::move(file));
  std::string start;
  for (const std::byte byte : file.bytes().first(std::min<size_t>(file.bytes().size(), 4))) {
    start += fmt::format(" {:02x}", static_cast<unsigned>(byte));
  }
  throw FormatError(
      fmt::format("{}: is not a GGUF model: it begins with bytes{}; wanted 47 47 55 46 (\"GGUF\")",
                  path, start));
}

TensorBytes read_tensor(const ModelFile& model, const StoredTensor& tensor) {
  const MappedFile& file = model.files[static_cast<size_t>(tensor.file)];
  return {file.bytes().subspan(tensor.offset, tensor.n_bytes), {}};
}

std::vector<float> read_floats(const ModelFile& model, const StoredTensor& tensor) {
  const TensorBytes stored = read_tensor(model, tensor);
  std::vector<float> values(static_cast<size_t>(n_elements(tensor)));
  if (tensor.type == TensorType::kF32) {
    std::memcpy(values.data(), stored.bytes.data(), stored.bytes.size());
    return values;
  }
  CHECK(tensor.type == TensorType::kF16 || tensor.type == TensorType::kBF16);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, stored.bytes.data() + i * sizeof(half), sizeof(half));
    values[i] = tensor.type == TensorType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
  }
  return values;
}

void drop_tensor(const ModelFile& model, const StoredTensor& tensor) {
  model.files[static_cast<size_t>(tensor.file)].drop(tensor.offset, tensor.n_bytes);
}

}  // namespace prefold
