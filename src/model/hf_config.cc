#include "model/hf_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/gguf.h"
#include "model/hf_features.h"
#include "model/model_limits.h"

namespace prefold {
namespace {

using Json = nlohmann::json;

// Models of several parts whose "text_config" is the configuration of a language model.
struct Wrapper {
  std::string_view model_type;
  std::string_view text_model_type;  // where text_config does not say
};
constexpr Wrapper kWrappers[] = {{"gemma3", "gemma3_text"}, {"mistral3", "mistral"}};

struct NamedActivation {
  std::string_view name;
  Activation activation;
};
constexpr NamedActivation kActivations[] = {
    {"silu", Activation::kSilu},          {"swish", Activation::kSilu},
    {"gelu", Activation::kGelu},          {"gelu_new", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh}, {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"relu", Activation::kRelu}};

Activation read_activation(const JsonObject& json, const HfArchitecture& architecture) {
  const std::string_view key = architecture.keys.activation;
  const std::string name =
      json.find_string(key).value_or(std::string(architecture.defaults.activation));
  for (const NamedActivation& known : kActivations) {
    if (known.name == name) return known.activation;
  }
  json.throw_unexpected(key,
                        "supported are silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu");
}

void read_sizes(const JsonObject& json, const HfArchitecture& architecture, ModelConfig& config) {
  const HfDefaults& defaults = architecture.defaults;
  const HfKeys& keys = architecture.keys;
  const auto size = [&](std::string_view key, int64_t by_default, int64_t most) {
    return static_cast<int32_t>(json.find_int(key, 1, most).value_or(by_default));
  };
  config.vocab_size = size("vocab_size", defaults.vocab_size, kMaxVocab);
  config.hidden_size = size(keys.hidden_size, defaults.hidden_size, kMaxHidden);
  const int64_t ffn = defaults.ffn_size != 0 ? defaults.ffn_size : 4 * int64_t{config.hidden_size};
  config.ffn_size = size(keys.ffn_size, ffn, kMaxFfn);
  config.n_layers = size(keys.n_layers, defaults.n_layers, kMaxLayers);
  config.n_heads = size(keys.n_heads, defaults.n_heads, kMaxHeads);
  const bool as_heads =
      defaults.n_kv_heads == 0 || json.has("num_key_value_heads");  // null: as many as heads
  config.n_kv_heads =
      size("num_key_value_heads", as_heads ? config.n_heads : defaults.n_kv_heads, kMaxHeads);
  config.context_length = size(keys.context_length, defaults.context_length, kMaxContext);
  const auto head_dim = json.find_int("head_dim", 1, kMaxHeadDim);
  config.head_dim = static_cast<int32_t>(head_dim.value_or(defaults.head_dim));
  if (config.head_dim == 0) {
    if (config.hidden_size % config.n_heads != 0) {
      throw FormatError(
          fmt::format("{}: {} attention heads do not divide the hidden size {} and there is no "
                      "\"head_dim\"",
                      json.path(), config.n_heads, config.hidden_size));
    }
    config.head_dim = config.hidden_size / config.n_heads;
  }
  config.norm_eps =
      static_cast<float>(json.find_number(keys.norm_eps, 0.0, 1.0).value_or(defaults.norm_eps));
}

// A word in a key's name that tells of the forward pass, or of the model's sizes.
constexpr std::string_view kTellingWords[] = {
    "rope",   "rotary", "norm", "scal",  "multipl",  "cap",  "window", "expert", "moe",
    "attn",   "attent", "bias", "alibi", "clip",     "head", "resid",  "lora",   "layer",
    "hidden", "size",   "act",  "posit", "parallel", "emb",  "inner"};
// Keys with such a word that change nothing here: of training, caches, and other programs.
constexpr std::string_view kHarmless[] = {"_attn_implementation",
                                          "_attn_implementation_autoset",
                                          "_sliding_window_pattern",
                                          "attention_dropout",
                                          "attn_dropout",
                                          "attn_implementation",
                                          "attn_pdrop",
                                          "chunk_size_feed_forward",
                                          "embd_pdrop",
                                          "embedding_dropout",
                                          "hidden_dropout",
                                          "output_attentions",
                                          "output_hidden_states",
                                          "resid_pdrop",
                                          "residual_dropout",
                                          "summary_activation"};

bool is_neutral(const Json& value) {
  if (value.is_null()) return true;
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0.0 || value.get<double>() == 1.0;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.empty();
}

void check_unread(const JsonObject& json, const Json& object) {
  for (const std::string& key : json.unread()) {
    const auto is_part = [&](std::string_view word) { return key.find(word) != std::string::npos; };
    const bool tells = key.starts_with("n_") ||
                       std::any_of(std::begin(kTellingWords), std::end(kTellingWords), is_part);
    const bool harmless =
        std::find(std::begin(kHarmless), std::end(kHarmless), key) != std::end(kHarmless);
    if (!tells || harmless || is_neutral(object.at(key))) continue;
    json.throw_unexpected(key, "which is not known to models of this kind and may change them");
  }
}

HfModel read_model(const JsonObject& json, const HfArchitecture& architecture) {
  HfModel model;
  model.names = architecture.names;
  ModelConfig& config = model.config;
  config.architecture = architecture.model_type;
  read_sizes(json, architecture, config);
  config.layers.resize(static_cast<size_t>(config.n_layers));
  config.activation = read_activation(json, architecture);
  config.attention_scale = static_cast<float>(1.0 / std::sqrt(double(config.head_dim)));
  config.tied_embeddings =
      json.find_bool("tie_word_embeddings").value_or(architecture.defaults.tied);
  architecture.read_features(json, model);
  check_config(json.path(), config);
  return model;
}

[[noreturn]] void throw_unknown(const std::string& path, const std::string& model_type) {
  throw FormatError(
      fmt::format("{}: models of \"model_type\" \"{}\" are not supported; supported are {}", path,
                  printable(model_type), known_hf_architectures()));
}

}  // namespace

std::string known_hf_architectures() {
  std::string names;
  for (const HfArchitecture& architecture : hf_architectures()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", architecture.model_type);
  }
  for (const Wrapper& wrapper : kWrappers) {
    names += fmt::format(", {} (its text part)", wrapper.model_type);
  }
  return names;
}

HfModel read_hf_config(const std::string& path, const Json& root) {
  const JsonObject json(path, "", root);
  const auto model_type = json.find_string("model_type");
  if (!model_type) json.throw_unexpected("model_type", "wanted " + known_hf_architectures());
  for (const Wrapper& wrapper : kWrappers) {
    if (*model_type != wrapper.model_type) continue;
    const auto text = json.find_object("text_config");
    if (!text) json.throw_unexpected("text_config", "wanted an object");
    const std::string text_type =
        text->find_string("model_type").value_or(std::string(wrapper.text_model_type));
    const HfArchitecture* architecture = find_hf_architecture(text_type);
    if (architecture == nullptr) throw_unknown(path, text_type);
    HfModel model = read_model(*text, *architecture);
    check_unread(*text, root.at("text_config"));
    model.has_other_parts = true;
    model.config.tied_embeddings =
        json.find_bool("tie_word_embeddings").value_or(model.config.tied_embeddings);
    return model;
  }
  const HfArchitecture* architecture = find_hf_architecture(*model_type);
  if (architecture == nullptr) throw_unknown(path, *model_type);
  HfModel model = read_model(json, *architecture);
  json.find("quantization_config");  // of the tensors: hf_quantization.h
  check_unread(json, root);
  return model;
}

}  // namespace prefold
