#include "model/model_file.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "model/gguf.h"
#include "model/load_gguf.h"
#include "model/load_hf.h"

namespace prefold {

ModelFile open_model(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return load_hf(path);
  MappedFile file(path);
  if (is_gguf(file.bytes())) return load_gguf(std::move(file));
  std::string start;
  for (const std::byte byte : file.bytes().first(std::min<size_t>(file.bytes().size(), 4))) {
    start += fmt::format(" {:02x}", static_cast<unsigned>(byte));
  }
  const bool is_part = path.ends_with(".safetensors") || path.ends_with(".json");
  throw FormatError(fmt::format(
      "{}: is not a GGUF model: it begins with bytes{}; wanted 47 47 55 46 (\"GGUF\"){}", path,
      start, is_part ? ", or the folder that a Hugging Face model's files are in" : ""));
}

int64_t n_parameters(const ModelFile& model) {
  int64_t total = 0;
  for (const StoredTensor& tensor : model.tensors) total += n_elements(tensor);
  return total;
}

}  // namespace prefold
