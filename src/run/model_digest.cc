#include "run/model_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "io/fingerprint.h"
#include "model/json_object.h"

namespace prefold {
namespace {

// Of a folder: what describes the model beside its weights. Of a file nothing: its header does.
std::string describing_texts(const std::string& path) {
  std::string texts;
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return texts;
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json",
                           "tokenizer_config.json", "chat_template.jinja"}) {
    const std::string file = (std::filesystem::path(path) / name).string();
    if (!std::filesystem::is_regular_file(file, error)) continue;
    const std::string text = read_text_file(file);
    texts += fmt::format("{}:{}:", name, text.size()) + text;
  }
  return texts;
}

}  // namespace

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
  sample += describing_texts(model.path);
  for (const StoredTensor& tensor : model.tensors) {
    const auto file = static_cast<size_t>(tensor.file);
    const size_t n_bytes = std::min(tensor.n_bytes, kSampleBytes);
    sample += text(file, tensor.offset, n_bytes);
    sample += text(file, tensor.offset + tensor.n_bytes - n_bytes, n_bytes);
  }
  return "siphash128-sampled:" + to_hex(fingerprint({0, 0}, sample));
}

}  // namespace prefold
