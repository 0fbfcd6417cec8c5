#include "model/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/gguf_features.h"
#include "model/gguf_keys.h"
#include "model/model_limits.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

using Tensors = std::vector<StoredTensor>;

// Keys that change the forward pass, in architectures that do not read them: only the neutral value
// will do.
void check_features(const GgufKeys& keys, const GgufArchitecture& architecture) {
  struct Feature {
    std::string_view key;
    double neutral;
    std::string_view name;
  };
  constexpr Feature kFeatures[] = {
      {"expert_count", 0, "experts"},
      {"attention.sliding_window", 0, "sliding-window attention"},
      {"attention.max_alibi_bias", 0, "ALiBi positions"},
      {"attention.clamp_kqv", 0, "clamped query, key and value"},
      {"attention.temperature_scale", 0, "attention scaled by position"},
      {"attn_logit_softcapping", 0, "soft-capped attention"},
      {"final_logit_softcapping", 0, "soft-capped logits"},
      {"logit_scale", 1, "scaled logits"},
      {"embedding_scale", 1, "scaled embeddings"},
      {"residual_scale", 1, "scaled residuals"},
      {"rope.scaling.yarn_log_multiplier", 0, "YaRN with a log multiplier"},
      {"rope.scaling.yarn_ext_factor", 1, "YaRN with another extrapolation factor"},
  };
  const auto is_read = [&](std::string_view key) {
    const auto& read = architecture.features;
    return std::find(read.begin(), read.end(), key) != read.end();
  };
  for (const Feature& feature : kFeatures) {
    if (is_read(feature.key)) continue;
    const auto value = keys.number(feature.key, -1e30, 1e30);
    if (!value || *value == feature.neutral) continue;
    keys.refuse(feature.key, fmt::format("{}", *value),
                fmt::format("{} in a model of this architecture: not supported", feature.name));
  }
  if (!keys.flag("attention.causal", true)) {
    keys.refuse("attention.causal", "false", "only causal models are supported");
  }
  if (!is_read("use_parallel_residual") && keys.flag("use_parallel_residual", false)) {
    keys.refuse("use_parallel_residual", "true", "parallel residuals: not supported here");
  }
}

void read_heads(const GgufKeys& keys, ModelConfig& config) {
  config.n_heads = keys.size("attention.head_count", kMaxHeads);
  config.n_kv_heads =
      keys.integer("attention.head_count_kv", 1, kMaxHeads).value_or(config.n_heads);
  const auto head_dim = keys.integer("attention.key_length", 1, kMaxHeadDim);
  if (!head_dim && config.hidden_size % config.n_heads != 0) {
    throw FormatError(fmt::format(
        "{}: {} attention heads do not divide the embedding length {} and there is no "
        "\"{}\"",
        keys.path(), config.n_heads, config.hidden_size, keys.full("attention.key_length")));
  }
  config.head_dim = head_dim.value_or(config.hidden_size / config.n_heads);
  const auto value_length = keys.integer("attention.value_length", 1, kMaxHeadDim);
  if (value_length && *value_length != config.head_dim) {
    keys.refuse("attention.value_length", std::to_string(*value_length),
                fmt::format("wanted {}, the length of a key", config.head_dim));
  }
  const double scale = keys.number("attention.scale", 0.0, kMaxScale).value_or(0.0);
  config.attention_scale =
      static_cast<float>(scale != 0.0 ? scale : 1.0 / std::sqrt(double(config.head_dim)));
}

// Like llama.cpp: a factor without a type is linear; scale_linear is the older name.
void read_rope_scaling(const GgufKeys& keys, RopeConfig& rope, int32_t context_length) {
  const std::string_view type_name = "rope.scaling.type";
  const std::string_view type =
      find_string(keys.metadata(), keys.full(type_name)).value_or("linear");
  rope.original_context =
      keys.integer("rope.scaling.original_context_length", 1, kMaxContext).value_or(context_length);
  rope.attn_factor = keys.number("rope.scaling.attn_factor", 1e-3, 1e6).value_or(1.0);
  auto factor = keys.number("rope.scaling.factor", 0.0, 1e6);
  if (!factor) factor = keys.number("rope.scale_linear", 0.0, 1e6);
  if (type == "none") return;
  if (type == "longrope") {  // its factors are tensors
    rope.scaling = RopeScaling::kLongRope;
    return;
  }
  if (type != "linear" && type != "yarn") {
    keys.refuse(type_name, fmt::format("\"{}\"", printable(type)),
                "supported are \"none\", \"linear\", \"yarn\" and \"longrope\"");
  }
  // Zero stands for no scaling.
  if (!factor || *factor == 0.0 || (type == "linear" && *factor == 1.0)) return;
  if (*factor < 1e-3) {
    keys.refuse("rope.scaling.factor", fmt::format("{}", *factor),
                "wanted 0 or a number from 0.001 to 1e6");
  }
  rope.factor = *factor;
  rope.scaling = type == "yarn" ? RopeScaling::kYarn : RopeScaling::kLinear;
  if (type != "yarn") return;
  const auto number = [&](std::string_view name, double by_default) {
    return keys.number(name, 1e-3, 1e6).value_or(by_default);
  };
  rope.attn_factor *= number("rope.scaling.yarn_attn_factor", 1.0);
  rope.beta_fast = number("rope.scaling.yarn_beta_fast", rope.beta_fast);
  rope.beta_slow = number("rope.scaling.yarn_beta_slow", rope.beta_slow);
}

void read_rope(const GgufKeys& keys, const GgufArchitecture& architecture, ModelConfig& config) {
  if (!architecture.has_rope) {
    for (LayerConfig& layer : config.layers) layer.rope_idx = -1;
    return;
  }
  RopeConfig rope;
  rope.kind = architecture.rope;
  rope.theta = keys.number("rope.freq_base", 1.001, 1e12).value_or(architecture.default_theta);
  const auto rotary_dim = keys.integer("rope.dimension_count", 2, config.head_dim);
  if (rotary_dim && *rotary_dim % 2 != 0) {
    keys.refuse("rope.dimension_count", std::to_string(*rotary_dim), "wanted an even number");
  }
  rope.rotary_dim = rotary_dim.value_or(config.head_dim);
  read_rope_scaling(keys, rope, config.context_length);
  config.ropes = {rope};
}

int32_t read_vocab_size(std::string_view path, const Tensors& tensors) {
  const StoredTensor* embedding = find_tensor(tensors, kTokenEmbedding);
  if (embedding == nullptr) {
    throw FormatError(fmt::format("{}: tensor \"{}\" is missing", path, kTokenEmbedding));
  }
  const int64_t vocab_size = embedding->shape.front();
  if (vocab_size > kMaxVocab) {
    throw FormatError(fmt::format("{}: tensor \"{}\" has {} rows; wanted 1 to {}", path,
                                  kTokenEmbedding, vocab_size, kMaxVocab));
  }
  return static_cast<int32_t>(vocab_size);
}

float read_norm_eps(const GgufKeys& keys, NormKind kind) {
  const std::string_view name =
      kind == NormKind::kRms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
  const auto eps = keys.number(name, 0.0, 1.0);
  if (!eps) throw FormatError(fmt::format("{}: \"{}\" is missing", keys.path(), keys.full(name)));
  return static_cast<float>(*eps);
}

}  // namespace

ModelConfig read_gguf_config(const GgufMetadata& metadata, const Tensors& tensors) {
  const GgufArchitecture& architecture = find_gguf_architecture(metadata);
  const GgufKeys keys(metadata, architecture.name);
  check_features(keys, architecture);
  ModelConfig config;
  config.architecture = architecture.name;
  config.name = find_string(metadata, "general.name").value_or("");
  config.n_layers = keys.size("block_count", kMaxLayers);
  config.layers.resize(static_cast<size_t>(config.n_layers));
  config.hidden_size = keys.size("embedding_length", kMaxHidden);
  config.ffn_size = keys.size("feed_forward_length", kMaxFfn);
  config.context_length = keys.size("context_length", kMaxContext);
  read_heads(keys, config);
  read_rope(keys, architecture, config);
  architecture.read_features(keys, tensors, config);
  config.norm_eps = read_norm_eps(keys, config.norm_kind);
  config.vocab_size = read_vocab_size(metadata.path, tensors);
  config.tied_embeddings = find_tensor(tensors, kOutput) == nullptr;
  check_config(metadata.path, config);
  return config;
}

}  // namespace prefold
