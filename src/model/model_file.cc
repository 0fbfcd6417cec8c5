#include "model/model_file.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
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

}  // namespace prefold
