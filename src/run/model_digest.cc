#include "run/model_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include "io/fingerprint.h"
#include "model/json_object.h"

namespace prefold {
namespace {

const std::filesystem::path kTemplateFolder = "additional_chat_templates";

// Of a folder: what describes the model or adapter beside its weights. Of a file nothing: its
// header does.
std::string describing_texts(const std::string& path, const std::vector<std::string>& names) {
  std::string texts;
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return texts;
  for (const std::string& name : names) {
    const std::string file = (std::filesystem::path(path) / name).string();
    if (!std::filesystem::is_regular_file(file, error)) continue;
    const std::string text = read_text_file(file);
    texts += fmt::format("{}:{}:", name, text.size()) + text;
  }
  return texts;
}

std::string digest_of(const std::vector<MappedFile>& files,
                      const std::vector<const StoredTensor*>& tensors, const std::string& texts) {
  constexpr size_t kSampleBytes = 4096;
  const auto text = [&](size_t file, size_t offset, size_t n_bytes) {
    const std::span<const std::byte> bytes = files[file].bytes();
    return std::string_view(reinterpret_cast<const char*>(bytes.data()) + offset, n_bytes);
  };
  std::string sample;
  for (size_t file = 0; file < files.size(); ++file) {
    const size_t file_bytes = files[file].bytes().size();
    size_t header_bytes = file_bytes;
    for (const StoredTensor* tensor : tensors) {
      if (static_cast<size_t>(tensor->file) == file) {
        header_bytes = std::min(header_bytes, tensor->offset);
      }
    }
    sample += fmt::format("{}:", file_bytes);
    sample += text(file, 0, header_bytes);
  }
  sample += texts;
  for (const StoredTensor* tensor : tensors) {
    const auto file = static_cast<size_t>(tensor->file);
    const size_t n_bytes = std::min(tensor->n_bytes, kSampleBytes);
    sample += text(file, tensor->offset, n_bytes);
    sample += text(file, tensor->offset + tensor->n_bytes - n_bytes, n_bytes);
  }
  return "siphash128-sampled:" + to_hex(fingerprint({0, 0}, sample));
}

}  // namespace

std::string model_digest(const ModelFile& model) {
  std::vector<std::string> texts = {"config.json", "generation_config.json", "tokenizer.json",
                                    "tokenizer_config.json", "chat_template.jinja"};
  std::vector<std::string> templates;
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(model.path) / kTemplateFolder;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    templates.push_back((kTemplateFolder / entry.path().filename()).string());
  }
  std::sort(templates.begin(), templates.end());
  texts.push_back("chat_template.json");
  texts.insert(texts.end(), templates.begin(), templates.end());
  std::vector<const StoredTensor*> tensors;
  for (const StoredTensor& tensor : model.tensors) tensors.push_back(&tensor);
  return digest_of(model.files, tensors, describing_texts(model.path, texts));
}

std::string lora_digest(const LoraFile& adapter) {
  std::vector<const StoredTensor*> tensors;
  for (const LoraMatrix& matrix : adapter.matrices) {
    tensors.push_back(&matrix.a);
    tensors.push_back(&matrix.b);
  }
  return digest_of(adapter.files, tensors, describing_texts(adapter.path, {"adapter_config.json"}));
}

}  // namespace prefold
