#include "model/load_hf.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "model/generation_config.h"
#include "model/gguf.h"
#include "model/hf_chat_format.h"
#include "model/hf_config.h"
#include "model/hf_quantization.h"
#include "model/hf_tensors.h"
#include "model/json_object.h"
#include "model/model_tensors.h"
#include "model/safetensors.h"
#include "tokenizer/hf_tokenizer.h"

namespace prefold {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string in_folder(const std::string& folder, std::string_view name) {
  return (fs::path(folder) / name).string();
}

// The text of a file that need not be there.
std::optional<std::string> read_optional(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  return read_text_file(path);
}

// Every tensor that the index names is in the file that it names, and no file has others.
void check_index(const std::string& folder, const SafetensorsFiles& names,
                 const std::vector<HfFile>& files) {
  std::unordered_map<std::string_view, size_t> file_of;
  for (const SafetensorsFiles::Place& place : names.weight_map) {
    file_of.emplace(place.tensor, place.file_idx);
  }
  for (size_t i = 0; i < files.size(); ++i) {
    for (const SafetensorsEntry& entry : files[i].entries) {
      const auto found = file_of.find(entry.name);
      if (found == file_of.end() || found->second != i) {
        throw FormatError(
            fmt::format("{}: holds tensor \"{}\", which model.safetensors.index.json does not "
                        "place there",
                        files[i].mapped->path(), printable(entry.name)));
      }
      file_of.erase(found);
    }
  }
  if (file_of.empty()) return;
  const auto& [tensor, file_idx] = *file_of.begin();
  throw FormatError(
      fmt::format("{}: lacks tensor \"{}\", which model.safetensors.index.json places "
                  "there",
                  in_folder(folder, names.names[file_idx]), printable(tensor)));
}

void read_weights(const std::string& folder, const JsonObject& config, const HfModel& hf,
                  ModelFile& model) {
  const SafetensorsFiles names = find_safetensors(folder);
  for (const std::string& name : names.names) model.files.emplace_back(in_folder(folder, name));
  std::vector<HfFile> files;
  for (const MappedFile& file : model.files) {
    files.push_back({&file, parse_safetensors(file.path(), file.bytes())});
  }
  if (!names.weight_map.empty()) check_index(folder, names, files);
  const HfQuantization quantization = read_hf_quantization(config);
  model.tensors = read_hf_tensors(folder, hf, quantization, files);
  check_model_tensors(folder, model.config, model.tensors);
  model.format = "safetensors";
  if (files.size() > 1) model.format += fmt::format(", {} files", files.size());
  if (quantization.is_quantised) {
    model.format += quantization.packing == Int4Source::Packing::kAwq ? ", AWQ" : ", GPTQ";
  }
}

// A folder without tokenizer.json may have the same in an older form.
void check_tokenizer_json(const std::string& folder) {
  std::error_code error;
  if (fs::exists(in_folder(folder, "tokenizer.json"), error)) return;
  for (const std::string_view other :
       {"tokenizer.model", "spiece.model", "vocab.json", "tokenizer.tiktoken"}) {
    if (!fs::exists(in_folder(folder, other), error)) continue;
    throw Error(fmt::format(
        "{0}: has {1} but no tokenizer.json, which is wanted; make it in Python: from transformers "
        "import AutoTokenizer; AutoTokenizer.from_pretrained(\"{0}\").save_pretrained(\"{0}\")",
        folder, other));
  }
}

void read_texts(const std::string& folder, ModelFile& model) {
  check_tokenizer_json(folder);
  const std::string path = in_folder(folder, "tokenizer.json");
  const std::string config_path = in_folder(folder, "tokenizer_config.json");
  const std::string tokenizer_json = read_text_file(path);
  const std::string config_json = read_optional(config_path).value_or("");
  model.tokenizer =
      read_hf_tokenizer({path, tokenizer_json, config_path, config_json}, model.config.vocab_size);
  nlohmann::ordered_json config;
  if (!config_json.empty()) config = parse_json_object(config_path, config_json);
  model.chat_format = read_hf_chat_format(folder, config);
}

}  // namespace

ModelFile load_hf(const std::string& folder) {
  ModelFile model;
  model.path = folder;
  const std::string config_path = in_folder(folder, "config.json");
  const Json root = parse_json_object(config_path, read_text_file(config_path));
  HfModel hf = read_hf_config(config_path, root);
  hf.config.name = fs::path(folder).lexically_normal().filename().string();
  model.config = hf.config;
  const JsonObject config(config_path, "", root);
  read_weights(folder, config, hf, model);
  read_texts(folder, model);
  const std::string generation_path = in_folder(folder, "generation_config.json");
  const auto generation = read_optional(generation_path);
  const Json parsed = generation ? parse_json_object(generation_path, *generation) : Json::object();
  model.generation = read_generation_config(JsonObject(generation_path, "", parsed), config,
                                            model.config.vocab_size);
  return model;
}

}  // namespace prefold
