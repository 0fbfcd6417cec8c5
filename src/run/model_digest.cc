#include "run/model_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "io/fingerprint.h"

namespace prefold {

std::string model_digest(const ModelFile& model) {
  constexpr size_t kSampleBytes = 4096;
  const std::span<const std::byte> bytes = model.file.bytes();
  const auto text = [&](size_t offset, size_t n_bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()) + offset, n_bytes);
  };
  size_t header_bytes = bytes.size();
  for (const StoredTensor& tensor : model.tensors) {
    header_bytes = std::min(header_bytes, tensor.offset);
  }
  std::string sample = fmt::format("{}:", bytes.size());
  sample += text(0, header_bytes);
  for (const StoredTensor& tensor : model.tensors) {
    const size_t n_bytes = std::min(tensor.n_bytes, kSampleBytes);
    sample += text(tensor.offset, n_bytes);
    sample += text(tensor.offset + tensor.n_bytes - n_bytes, n_bytes);
  }
  return "siphash128-sampled:" + to_hex(fingerprint({0, 0}, sample));
}

}  // namespace prefold
