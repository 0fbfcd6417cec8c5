#include "model/lora_peft.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "base/error.h"
#include "model/gguf.h"
#include "model/hf_features.h"
#include "model/json_object.h"
#include "model/lora_pairs.h"
#include "model/lora_peft_config.h"
#include "model/model_file.h"
#include "model/safetensors.h"

namespace prefold {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "base_model.model.";

// How Hugging Face names the modules of a model, and how its rows of queries and keys lie in ours.
struct Naming {
  HfNames names = HfNames::kLlama;
  HeadOrder order = HeadOrder::kSame;
};
Naming naming_of(const ModelFile& model) {
  std::string_view hf = model.config.architecture;
  Naming naming;
  if (is_gguf(model.files[0].bytes())) {
    const LoraArchitecture* known = find_gguf_lora_architecture(hf);
    if (known == nullptr) {
      throw FormatError(fmt::format("{}: PEFT adapters of \"{}\" models in GGUF are not supported",
                                    model.path, hf));
    }
    hf = known->hf;
    if (known->permutes) naming.order = HeadOrder::kHalvesToPairs;
  }
  if (const HfArchitecture* architecture = find_hf_architecture(hf)) {
    naming.names = architecture->names;
  }
  return naming;
}

// A module with an adapter: "model.layers.3.self_attn.q_proj".
struct Module {
  const SafetensorsEntry* a = nullptr;
  const SafetensorsEntry* b = nullptr;
};

class PeftReader {
 public:
  PeftReader(const ModelFile& model, const PeftLoraConfig& config, const std::string& path)
      : model_(model.config), config_(config), path_(path), naming_(naming_of(model)) {}

  void add(const SafetensorsEntry& entry) {
    std::string_view name = entry.name;
    if (!name.starts_with(kPrefix)) fail(name, "does not begin as PEFT's tensors do");
    name.remove_prefix(kPrefix.size());
    const bool is_a = name.ends_with(".lora_A.weight");
    if (!is_a && !name.ends_with(".lora_B.weight")) {
      fail(entry.name, "is neither a \"lora_A.weight\" nor a \"lora_B.weight\" of a matrix");
    }
    Module& module = modules_[std::string(name.substr(0, name.size() - 14))];
    (is_a ? module.a : module.b) = &entry;
  }

  std::vector<LoraMatrix> finish() const {
    std::vector<LoraMatrix> matrices;
    for (const auto& [name, module] : modules_) {
      if (module.a == nullptr || module.b == nullptr) {
        fail(name, fmt::format("has no \"lora_{}.weight\"", module.a == nullptr ? 'A' : 'B'));
      }
      const LoraPlace place = place_of(name);
      const StoredTensor a = stored(*module.a), b = stored(*module.b);
      check_config(name, place, a);
      add_lora_pair(path_, model_, place, a, b, scale_of(config_, name), naming_.order, matrices);
      check_other_layers(name, place);
    }
    if (matrices.empty()) throw FormatError(fmt::format("{}: has no tensors", path_));
    return matrices;
  }

  std::vector<std::string> absent_targets() const {
    std::vector<std::string> absent;
    for (const std::string& name : config_.targets.names()) {
      const auto found = std::find_if(modules_.begin(), modules_.end(), [&](const auto& module) {
        return is_module_name(name, module.first);
      });
      if (found == modules_.end()) absent.push_back(name);
    }
    return absent;
  }

 private:
  [[noreturn]] void fail(std::string_view name, const std::string& message) const {
    throw FormatError(fmt::format("{}: \"{}\" {}", path_, printable(name), message));
  }

  LoraPlace place_of(const std::string& module) const {
    const NameTable table = names_of(naming_.names);
    std::string_view name = without_prefixes(module);
    LoraPlace place{module};
    int32_t expert = -1;
    if (!name.starts_with(table.layer_prefix)) {
      if (find_rule(table.globals, name, expert) != nullptr) {
        fail(module, "is an embedding or the LM head, of which adapters are not supported");
      }
      fail_no_place(module);
    }
    name.remove_prefix(table.layer_prefix.size());
    place.layer = take_number(name);
    if (place.layer < 0 || place.layer >= model_.n_layers) fail_no_place(module);
    const NameRule* rule = find_rule(table.layers, name, expert);
    if (rule == nullptr) fail_no_place(module);
    place.ours = rule->ours;
    place.use = rule->use;
    return place;
  }
  [[noreturn]] void fail_no_place(std::string_view module) const {
    fail(module, fmt::format("has no place in a {} model of {} layers", model_.architecture,
                             model_.n_layers));
  }

  StoredTensor stored(const SafetensorsEntry& entry) const {
    const std::optional<TensorType> type = float_tensor_type(entry.type);
    if (!type) {
      fail(entry.name, fmt::format("is of type {}; wanted F32, F16 or BF16", name_of(entry.type)));
    }
    StoredTensor tensor;
    tensor.name = entry.name;
    tensor.type = *type;
    tensor.shape = entry.shape;
    tensor.offset = entry.offset;
    tensor.n_bytes = entry.n_bytes;
    return tensor;
  }

  // PEFT itself ignores tensors that the configuration does not name.
  void check_config(const std::string& module, const LoraPlace& place,
                    const StoredTensor& a) const {
    if (!is_target(config_, module, place.layer)) {
      fail(module, "is not among the modules that adapter_config.json names");
    }
    const int64_t rank = a.shape.empty() ? 0 : a.shape[0];
    if (rank != rank_of(config_, module)) {
      fail(module,
           fmt::format("has rank {}; adapter_config.json says {}", rank, rank_of(config_, module)));
    }
  }

  // What is changed in one layer and named for others is there in those too.
  void check_other_layers(const std::string& module, const LoraPlace& place) const {
    const std::string number = fmt::format(".{}.", place.layer);
    const size_t at = fmt::format(".{}", module).find(number);
    const std::string head = module.substr(0, at), tail = module.substr(at + number.size() - 1);
    for (int32_t layer = 0; layer < model_.n_layers; ++layer) {
      const std::string other = fmt::format("{}{}.{}", head, layer, tail);
      if (modules_.contains(other) || !has_place(place, layer) ||
          !is_target(config_, other, layer)) {
        continue;
      }
      fail(other, "is named by adapter_config.json, but its tensors are missing");
    }
  }

  // Whether a layer has what the place has: layers of experts lack what others have.
  bool has_place(const LoraPlace& place, int32_t layer) const {
    const bool is_attention = place.use == TensorUse::kQkv || place.use == TensorUse::kQkvConv1d ||
                              place.use == TensorUse::kQkvByHead || place.ours.starts_with("attn");
    return is_attention || lora_shape(model_, layer, LoraSite::kUp).n_out > 0;
  }

  const ModelConfig& model_;
  const PeftLoraConfig& config_;
  const std::string& path_;
  Naming naming_;
  std::map<std::string, Module> modules_;
};

}  // namespace

LoraFile open_peft_lora(const std::string& folder, const ModelFile& model) {
  const auto in_folder = [&](const char* name) { return (fs::path(folder) / name).string(); };
  const std::string config = in_folder("adapter_config.json");
  const PeftLoraConfig parsed = parse_peft_lora_config(config, read_text_file(config));
  const std::string tensors = in_folder("adapter_model.safetensors");
  std::error_code error;
  if (!fs::exists(tensors, error) && fs::exists(in_folder("adapter_model.bin"), error)) {
    throw FormatError(
        fmt::format("{}: is not supported, since reading it would run what it says; "
                    "wanted adapter_model.safetensors",
                    in_folder("adapter_model.bin")));
  }
  return read_peft_lora(folder, parsed, MappedFile(tensors), model);
}

LoraFile read_peft_lora(const std::string& folder, const PeftLoraConfig& config, MappedFile tensors,
                        const ModelFile& model) {
  LoraFile lora;
  lora.path = folder;
  lora.format = "PEFT";
  const std::string path = tensors.path();
  lora.files.push_back(std::move(tensors));
  const std::vector<SafetensorsEntry> entries = parse_safetensors(path, lora.files[0].bytes());
  PeftReader reader(model, config, path);
  for (const SafetensorsEntry& entry : entries) reader.add(entry);
  lora.matrices = reader.finish();
  lora.absent_targets = reader.absent_targets();
  return lora;
}

}  // namespace prefold
