#include "model/lora_peft_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/json_object.h"
#include "model/lora.h"
#include "model/model_limits.h"

namespace prefold {
namespace {

using Json = nlohmann::json;

constexpr double kMaxAlpha = 1e6;

Regex compile(const std::string& path, std::string_view key, const std::string& pattern) {
  try {
    return Regex(pattern);
  } catch (const Error& error) {
    throw FormatError(fmt::format("{}: \"{}\": {}", path, key, error.what()));
  }
}

bool finds(const Regex& regex, const std::string& text) {
  Regex::Match match{};
  try {
    return regex.find(text, 0, match);
  } catch (const RequestError& error) {  // far too many steps
    throw FormatError(fmt::format("a pattern for modules, at \"{}\": {}", text, error.what()));
  }
}

bool is_neutral(const Json& value) {
  if (value.is_null() || value == false || value == 0) return true;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  if (value.is_array()) return value.empty();
  return value.is_object() &&
         std::all_of(value.begin(), value.end(), [](const Json& it) { return is_neutral(it); });
}

// Of training, of where the adapter came from, and what says again what tensors say.
constexpr std::string_view kWithoutEffect[] = {"auto_mapping",   "base_model_name_or_path",
                                               "inference_mode", "lora_dropout",
                                               "megatron_core",  "peft_version",
                                               "revision",       "task_type",
                                               "fan_in_fan_out", "loftq_config",
                                               "eva_config",     "qalora_group_size"};

// These begin from changed weights of the model, which the folder does not hold.
void check_initialisation(const JsonObject& json) {
  const Json* value = json.find("init_lora_weights");
  if (value == nullptr || value->is_boolean()) return;
  if (*value == "gaussian" || *value == "eva" || *value == "orthogonal" || *value == "mica") return;
  json.throw_unexpected("init_lora_weights",
                        "wanted true, false, \"gaussian\", \"eva\", \"orthogonal\" or \"mica\": "
                        "others change the model's own weights");
}

template <typename Value>
void read_patterns(const JsonObject& json, std::string_view key, Value least, Value most,
                   std::vector<std::pair<Regex, Value>>& patterns) {
  const Json* object = json.find(key);
  if (object == nullptr) return;
  if (!object->is_object()) json.throw_unexpected(key, "wanted an object");
  const JsonObject values(json.path(), std::string(key) + ".", *object);
  for (const auto& [pattern, value] : object->items()) {
    Regex regex = compile(json.path(), key, fmt::format("\\A(?:.*\\.)?(?:{})\\z", pattern));
    if constexpr (std::is_same_v<Value, double>) {
      patterns.emplace_back(std::move(regex), values.find_number(pattern, least, most).value());
    } else {
      patterns.emplace_back(std::move(regex), values.find_int(pattern, least, most).value());
    }
  }
}

void read_layers(const JsonObject& json, std::vector<int64_t>& layers) {
  const Json* value = json.find("layers_to_transform");
  if (value == nullptr) return;
  if (!value->is_array()) {
    layers.push_back(*json.find_int("layers_to_transform", 0, kMaxLayers));
    return;
  }
  for (const Json& layer : *value) {
    if (!layer.is_number_unsigned() || layer > kMaxLayers) {
      json.throw_unexpected("layers_to_transform", "wanted numbers of layers");
    }
    layers.push_back(layer);
  }
}

void read_targets(const JsonObject& json, PeftLoraConfig& config) {
  const Json* targets = json.find("target_modules");
  if (targets == nullptr) json.throw_unexpected("target_modules", "wanted names of modules");
  config.all_linear = *targets == "all-linear";
  if (!config.all_linear) config.targets = ModulePattern(json.path(), "target_modules", *targets);
  if (const Json* excluded = json.find("exclude_modules")) {
    config.excluded = ModulePattern(json.path(), "exclude_modules", *excluded);
  }
  read_layers(json, config.layers);
  // The name of the list that layers are in; its number is known here by other ways.
  json.find("layers_pattern");
  if (!config.layers.empty() && targets->is_string() && !config.all_linear) {
    json.throw_unexpected("layers_to_transform",
                          "wanted none beside a pattern in \"target_modules\"");
  }
}

// What the pattern that matches says, or null. PEFT takes the first of several; in which order the
// file has them is not known here, so they must agree.
template <typename Value>
const Value* find_pattern(const PeftLoraConfig& config, std::string_view key,
                          const std::vector<std::pair<Regex, Value>>& patterns,
                          const std::string& module) {
  const Value* found = nullptr;
  for (const auto& [regex, value] : patterns) {
    if (!finds(regex, module)) continue;
    if (found != nullptr && *found != value) {
      throw FormatError(fmt::format("{}: \"{}\" says {} and {} of \"{}\"", config.path, key, *found,
                                    value, module));
    }
    found = &value;
  }
  return found;
}

}  // namespace

bool is_module_name(std::string_view name, const std::string& module) {
  return module.ends_with(name) &&
         (module.size() == name.size() || module[module.size() - name.size() - 1] == '.');
}

ModulePattern::ModulePattern(const std::string& path, std::string_view key, const Json& value) {
  if (value.is_string()) {
    regex_ = compile(path, key, fmt::format("\\A(?:{})\\z", value.get<std::string>()));
    return;
  }
  const bool is_list =
      value.is_array() &&
      std::all_of(value.begin(), value.end(), [](const Json& it) { return it.is_string(); });
  if (!is_list) {
    throw FormatError(fmt::format("{}: \"{}\" is {}; wanted a string or an array of strings", path,
                                  key, value.type_name()));
  }
  names_ = value.get<std::vector<std::string>>();
}

bool ModulePattern::matches(const std::string& module) const {
  if (regex_) return finds(*regex_, module);
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& name) { return is_module_name(name, module); });
}

PeftLoraConfig parse_peft_lora_config(const std::string& path, std::string_view text) {
  const Json root = parse_json_object(path, text);
  const JsonObject json(path, "", root);
  PeftLoraConfig config;
  config.path = path;
  if (json.find_string("peft_type") != "LORA") {
    json.throw_unexpected("peft_type", "wanted \"LORA\"");
  }
  const auto rank = json.find_int("r", 1, kMaxLoraRank);
  const auto alpha = json.find_number("lora_alpha", -kMaxAlpha, kMaxAlpha);
  if (!rank) json.throw_unexpected("r", "wanted the rank");
  if (!alpha) json.throw_unexpected("lora_alpha", "wanted a number");
  config.rank = *rank;
  config.alpha = *alpha;
  config.is_rank_stabilised = json.find_bool("use_rslora").value_or(false);
  if (json.find_string("bias").value_or("none") != "none") {
    json.throw_unexpected("bias", "wanted \"none\": adapters of biases are not supported");
  }
  check_initialisation(json);
  read_patterns<int64_t>(json, "rank_pattern", 1, kMaxLoraRank, config.ranks);
  read_patterns<double>(json, "alpha_pattern", -kMaxAlpha, kMaxAlpha, config.alphas);
  read_targets(json, config);
  for (const std::string_view key : kWithoutEffect) json.find(key);
  for (const std::string& key : json.unread()) {
    if (!is_neutral(root.at(key))) json.throw_unexpected(key, "not supported");
  }
  return config;
}

bool is_target(const PeftLoraConfig& config, const std::string& module, int64_t layer) {
  if (config.excluded.matches(module)) return false;
  if (!config.layers.empty() &&
      std::find(config.layers.begin(), config.layers.end(), layer) == config.layers.end()) {
    return false;
  }
  return config.all_linear || config.targets.matches(module);
}

int64_t rank_of(const PeftLoraConfig& config, const std::string& module) {
  const int64_t* rank = find_pattern(config, "rank_pattern", config.ranks, module);
  return rank != nullptr ? *rank : config.rank;
}

double scale_of(const PeftLoraConfig& config, const std::string& module) {
  const double* alpha = find_pattern(config, "alpha_pattern", config.alphas, module);
  const auto rank = static_cast<double>(rank_of(config, module));
  return (alpha != nullptr ? *alpha : config.alpha) /
         (config.is_rank_stabilised ? std::sqrt(rank) : rank);
}

}  // namespace prefold
