#include "run/model_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "io/fingerprint.h"

namespace prefold {

std::string model_digest(const ModelFile& model) {
  constexpr size_t kSampleBytes = 4096;
  const auto text = [&](size_t file, size_t offset, size_t n_bytes) {
    const std::span<const std::byte> bytes = model.files[file].bytes();
    return std::string_view(reinterpret_cast<const char*>(bytes.data()) + offset, n_bytes);
  };
  std::string sample;
  for (size_t file = 0; file < model.files.size(); ++file) {
    const size_t file_bytes = model.files[file].bytes().size();
    size_t header_bytes = file_bytes;
    for (const StoredTensor& tensor : model.tensors) {
      if (static_cast<size_t>(tensor.file) == file) {
        header_bytes = std::min(header_bytes, tensor.offset);
      }
    }
    sample += fmt::format("{}:", file_bytes);
    sample += text(file, 0, header_bytes);
  }
  for (const StoredTensor& tensor : model.tensors) {
    const auto file = static_cast<size_t>(tensor.file);
    const size_t n_bytes = std::min(tensor.n_bytes, kSampleBytes);
    sample += text(file, tensor.offset, n_bytes);
    sample += text(file, tensor.offset + tensor.n_bytes - n_bytes, n_bytes);
  }
  return "siphash128-sampled:" + to_hex(fingerprint({0, 0}, sample));
}

}  // namespace prefold
