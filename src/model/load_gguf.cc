#include "model/load_gguf.h"

#include <fmt/ranges.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/gguf.h"
#include "model/gguf_chat_format.h"
#include "model/gguf_metadata.h"
#include "model/gguf_tokenizer.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

// Generous for any model known, and small enough that bytes of a full-context KV cache, the largest
// product of these, stay below 2^60.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHidden = 1 << 17;
constexpr int64_t kMaxHeads = 1024;
constexpr int64_t kMaxHeadDim = 512;
constexpr int64_t kMaxFfn = 1 << 20;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = 1 << 26;

constexpr std::string_view kArchitecture = "llama";
std::string llama_key(std::string_view name) { return fmt::format("{}.{}", kArchitecture, name); }

[[noreturn]] void throw_unsupported(const GgufMetadata& metadata, std::string_view key,
                                    std::string_view value, std::string_view supported) {
  throw FormatError(fmt::format("{}: \"{}\" is {}; {}", metadata.path, key, value, supported));
}

void check_kind_of_file(const GgufMetadata& metadata) {
  const auto type = find_string(metadata, "general.type");
  if (type && *type != "model") {
    throw_unsupported(metadata, "general.type", fmt::format("\"{}\"", printable(*type)),
                      "wanted \"model\"");
  }
  const auto n_parts = find_int(metadata, "split.count", 0, 65535);
  if (n_parts && *n_parts > 1) {
    throw_unsupported(metadata, "split.count", std::to_string(*n_parts),
                      "models split over several files are not supported: merge them first");
  }
  const auto architecture = find_string(metadata, "general.architecture");
  if (!architecture) {
    throw FormatError(
        fmt::format("{}: \"general.architecture\" is missing; wanted \"llama\"", metadata.path));
  }
  if (*architecture != kArchitecture) {
    throw FormatError(
        fmt::format("{}: models of architecture \"{}\" are not supported; \"llama\" is",
                    metadata.path, printable(*architecture)));
  }
}

// Keys that change the forward pass in ways it does not know, unless they hold the neutral value.
void check_features(const GgufMetadata& metadata) {
  struct Feature {
    std::string_view key;
    double neutral;
    std::string_view name;
  };
  constexpr Feature kUnsupported[] = {
      {"expert_count", 0, "mixture-of-experts models"},
      {"attention.sliding_window", 0, "sliding-window attention"},
      {"attention.max_alibi_bias", 0, "ALiBi positions"},
      {"attention.clamp_kqv", 0, "clamped query, key and value"},
      {"attn_logit_softcapping", 0, "soft-capped attention"},
      {"final_logit_softcapping", 0, "soft-capped logits"},
      {"logit_scale", 1, "scaled logits"},
      {"embedding_scale", 1, "scaled embeddings"},
      {"residual_scale", 1, "scaled residuals"},
      {"rope.scaling.yarn_log_multiplier", 0, "YaRN with a log multiplier"},
      {"rope.scaling.yarn_ext_factor", 1, "YaRN with another extrapolation factor"},
  };
  for (const Feature& feature : kUnsupported) {
    const std::string key = llama_key(feature.key);
    const auto value = find_number(metadata, key, -1e30, 1e30);
    if (!value || *value == feature.neutral) continue;
    throw_unsupported(metadata, key, fmt::format("{}", *value),
                      fmt::format("{} are not supported", feature.name));
  }
  if (find_bool(metadata, llama_key("attention.causal")) == false) {
    throw_unsupported(metadata, llama_key("attention.causal"), "false",
                      "only causal models are supported");
  }
  if (find_bool(metadata, llama_key("use_parallel_residual")) == true) {
    throw_unsupported(metadata, llama_key("use_parallel_residual"), "true",
                      "parallel residuals are not supported");
  }
}

int32_t read_size(const GgufMetadata& metadata, std::string_view name, int64_t most) {
  return static_cast<int32_t>(require_int(metadata, llama_key(name), 1, most));
}

// head_dim: given, or hidden / heads. Both it and the rotary part must be even.
void read_heads(const GgufMetadata& metadata, ModelConfig& config) {
  config.n_heads = read_size(metadata, "attention.head_count", kMaxHeads);
  config.n_kv_heads =
      static_cast<int32_t>(find_int(metadata, llama_key("attention.head_count_kv"), 1, kMaxHeads)
                               .value_or(config.n_heads));
  if (config.n_heads % config.n_kv_heads != 0) {
    throw FormatError(fmt::format(
        "{}: {} attention heads cannot share {} KV heads evenly (llama.attention.head_count, "
        "head_count_kv)",
        metadata.path, config.n_heads, config.n_kv_heads));
  }
  const auto head_dim = find_int(metadata, llama_key("attention.key_length"), 1, kMaxHeadDim);
  if (!head_dim && config.hidden_size % config.n_heads != 0) {
    throw FormatError(
        fmt::format("{}: {} attention heads do not divide the embedding length {} and there is no "
                    "\"llama.attention.key_length\"",
                    metadata.path, config.n_heads, config.hidden_size));
  }
  config.head_dim = static_cast<int32_t>(head_dim.value_or(config.hidden_size / config.n_heads));
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    throw FormatError(
        fmt::format("{}: attention heads have {} elements; wanted an even number up to {}",
                    metadata.path, config.head_dim, kMaxHeadDim));
  }
  const auto value_length = find_int(metadata, llama_key("attention.value_length"), 1, kMaxHeadDim);
  if (value_length && *value_length != config.head_dim) {
    throw_unsupported(metadata, llama_key("attention.value_length"), std::to_string(*value_length),
                      fmt::format("wanted {}, the length of a key", config.head_dim));
  }
}

// Like llama.cpp: a factor without a type is linear; scale_linear is the older name.
void read_rope_scaling(const GgufMetadata& metadata, RopeConfig& rope, int32_t context_length) {
  const std::string type_key = llama_key("rope.scaling.type");
  const std::string_view type = find_string(metadata, type_key).value_or("linear");
  auto factor = find_number(metadata, llama_key("rope.scaling.factor"), 0.0, 1e6);
  if (!factor) factor = find_number(metadata, llama_key("rope.scale_linear"), 0.0, 1e6);
  if (type == "none") return;
  if (type != "linear" && type != "yarn") {
    throw_unsupported(metadata, type_key, fmt::format("\"{}\"", printable(type)),
                      "supported are \"none\", \"linear\" and \"yarn\"");
  }
  // Zero stands for no scaling.
  if (!factor || *factor == 0.0 || (type == "linear" && *factor == 1.0)) return;
  if (*factor < 1e-3) {
    throw_unsupported(metadata, llama_key("rope.scaling.factor"), fmt::format("{}", *factor),
                      "wanted 0 or a number from 0.001 to 1e6");
  }
  rope.factor = *factor;
  rope.scaling = type == "yarn" ? RopeScaling::kYarn : RopeScaling::kLinear;
  if (type != "yarn") return;
  const auto number = [&](std::string_view name, double by_default) {
    return find_number(metadata, llama_key(name), 1e-3, 1e6).value_or(by_default);
  };
  rope.attn_factor =
      number("rope.scaling.attn_factor", 1.0) * number("rope.scaling.yarn_attn_factor", 1.0);
  rope.beta_fast = number("rope.scaling.yarn_beta_fast", rope.beta_fast);
  rope.beta_slow = number("rope.scaling.yarn_beta_slow", rope.beta_slow);
  rope.original_context = static_cast<int32_t>(
      find_int(metadata, llama_key("rope.scaling.original_context_length"), 1, kMaxContext)
          .value_or(context_length));
}

void read_rope(const GgufMetadata& metadata, ModelConfig& config) {
  RopeConfig& rope = config.ropes.emplace_back();
  // Converters permute the rows of q and k for pairs of neighbours.
  rope.kind = RopeKind::kInterleaved;
  rope.theta = find_number(metadata, llama_key("rope.freq_base"), 1.001, 1e12).value_or(10000.0);
  const std::string key = llama_key("rope.dimension_count");
  rope.rotary_dim =
      static_cast<int32_t>(find_int(metadata, key, 2, config.head_dim).value_or(config.head_dim));
  if (rope.rotary_dim % 2 != 0) {
    throw_unsupported(metadata, key, std::to_string(rope.rotary_dim), "wanted an even number");
  }
  read_rope_scaling(metadata, rope, config.context_length);
}

int32_t read_vocab_size(std::string_view path, const std::vector<StoredTensor>& tensors) {
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

ModelConfig read_config(const GgufMetadata& metadata, const std::vector<StoredTensor>& tensors) {
  ModelConfig config;
  config.architecture = kArchitecture;
  config.name = find_string(metadata, "general.name").value_or("");
  config.n_layers = read_size(metadata, "block_count", kMaxLayers);
  config.hidden_size = read_size(metadata, "embedding_length", kMaxHidden);
  config.ffn_size = read_size(metadata, "feed_forward_length", kMaxFfn);
  config.context_length = read_size(metadata, "context_length", kMaxContext);
  config.layers.resize(static_cast<size_t>(config.n_layers));
  read_heads(metadata, config);
  config.attention_scale = static_cast<float>(1.0 / std::sqrt(double{1} * config.head_dim));
  read_rope(metadata, config);
  const std::string eps_key = llama_key("attention.layer_norm_rms_epsilon");
  const auto eps = find_number(metadata, eps_key, 0.0, 1.0);
  if (!eps) throw FormatError(fmt::format("{}: \"{}\" is missing", metadata.path, eps_key));
  config.norm_eps = static_cast<float>(*eps);
  config.vocab_size = read_vocab_size(metadata.path, tensors);
  config.tied_embeddings = find_tensor(tensors, kOutput) == nullptr;
  return config;
}

// Divisors of the rotary frequencies (llama3 scaling).
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

void read_frequency_factors(const ModelFile& model, RopeConfig& rope) {
  const StoredTensor* tensor = find_tensor(model.tensors, kRopeFactors);
  if (tensor == nullptr) return;
  const TensorTypeTraits& traits = traits_of(tensor->type);
  if (tensor->shape != std::vector<int64_t>{rope.rotary_dim / 2} || traits.block_elements != 1) {
    throw FormatError(fmt::format("{}: tensor \"{}\" of type {} has shape ({}); wanted {} floats",
                                  model.path, kRopeFactors, traits.name,
                                  fmt::join(tensor->shape, ", "), rope.rotary_dim / 2));
  }
  rope.frequency_factors = read_floats(model, *tensor);
  for (const float factor : rope.frequency_factors) {
    if (!(factor >= 1e-6f && factor <= 1e6f)) {
      throw FormatError(fmt::format("{}: tensor \"{}\" holds {}; wanted numbers from 1e-6 to 1e6",
                                    model.path, kRopeFactors, factor));
    }
  }
  if (rope.scaling == RopeScaling::kNone) rope.scaling = RopeScaling::kLlama3;
}

// No weights: what was read into the configuration, and the rotary frequencies that older
// converters stored, which follow from the metadata.
bool is_no_weight(const StoredTensor& tensor) {
  return tensor.name == kRopeFactors || tensor.name.ends_with(".attn_rot_embd.weight") ||
         tensor.name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace

ModelFile load_gguf(MappedFile file) {
  Gguf gguf = parse_gguf(file.path(), file.bytes());
  const GgufMetadata metadata{file.path(), &gguf.metadata};
  check_kind_of_file(metadata);
  check_features(metadata);
  ModelFile model;
  model.path = file.path();
  model.format = fmt::format("GGUF v{}", gguf.version);
  model.config = read_config(metadata, gguf.tensors);
  model.tensors = std::move(gguf.tensors);
  model.files.push_back(std::move(file));
  read_frequency_factors(model, model.config.ropes.front());
  std::erase_if(model.tensors, is_no_weight);
  check_model_tensors(model.path, model.config, model.tensors);
  model.tokenizer = read_tokenizer(metadata, model.config.vocab_size);
  model.chat_format = read_gguf_chat_format(metadata, model.tokenizer);
  for (const StoredTensor& tensor : model.tensors) model.n_parameters += n_elements(tensor);
  return model;
}

}  // namespace prefold
