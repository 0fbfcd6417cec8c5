#include "model/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/error.h"
#include "model/model_limits.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

constexpr double kMostScale = 1e6;

// Keys of one architecture, "llama.block_count".
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), architecture_(architecture) {}

  const GgufMetadata& metadata() const { return metadata_; }
  std::string_view path() const { return metadata_.path; }
  std::string full(std::string_view name) const {
    return fmt::format("{}.{}", architecture_, name);
  }

  std::optional<int32_t> integer(std::string_view name, int64_t least, int64_t most) const {
    const auto value = find_int(metadata_, full(name), least, most);
    if (!value) return std::nullopt;
    return static_cast<int32_t>(*value);
  }
  int32_t size(std::string_view name, int64_t most) const {
    return static_cast<int32_t>(require_int(metadata_, full(name), 1, most));
  }
  std::optional<double> number(std::string_view name, double least, double most) const {
    return find_number(metadata_, full(name), least, most);
  }
  // A scale, or 1 where there is none or it is zero, which stands for none.
  float scale(std::string_view name) const {
    const double value = number(name, 0.0, kMostScale).value_or(1.0);
    return static_cast<float>(value == 0.0 ? 1.0 : value);
  }
  bool flag(std::string_view name, bool by_default) const {
    return find_bool(metadata_, full(name)).value_or(by_default);
  }
  [[noreturn]] void refuse(std::string_view name, std::string_view value,
                           std::string_view why) const {
    throw FormatError(fmt::format("{}: \"{}\" is {}; {}", path(), full(name), value, why));
  }

 private:
  const GgufMetadata& metadata_;
  std::string_view architecture_;
};

using Tensors = std::vector<StoredTensor>;
using FeaturesFn = void (*)(const ArchitectureKeys& keys, const Tensors& tensors,
                            ModelConfig& config);

struct Architecture {
  std::string_view name;
  RopeKind rope = RopeKind::kHalf;
  FeaturesFn read_features = nullptr;
  // Names of keys that change the forward pass which it reads, of those that most do not have.
  std::vector<std::string_view> features = {};
  bool has_rope = true;
  double default_theta = 10000.0;
};

void layer_norms(ModelConfig& config) { config.norm_kind = NormKind::kLayer; }

void all_layers_moe(ModelConfig& config) {
  for (LayerConfig& layer : config.layers) layer.is_moe = true;
}

void read_moe(const ArchitectureKeys& keys, ModelConfig& config, bool normalise) {
  config.moe.n_experts = keys.size("expert_count", kMaxExperts);
  config.moe.n_used = keys.size("expert_used_count", kMaxExperts);
  config.moe.ffn_size =
      keys.integer("expert_feed_forward_length", 1, kMaxFfn).value_or(config.ffn_size);
  config.moe.normalise_weights = normalise;
  all_layers_moe(config);
}

// Which layers have a window: as a flag for each or a period says, else by the architecture's
// period, whose last layer sees everything.
std::vector<bool> sliding_layers(const ArchitectureKeys& keys, const ModelConfig& config,
                                 int32_t period) {
  constexpr std::string_view kName = "attention.sliding_window_pattern";
  std::vector<bool> sliding(static_cast<size_t>(config.n_layers));
  const std::string key = keys.full(kName);
  const auto& entries = *keys.metadata().entries;
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const GgufEntry& entry) { return entry.key == key; });
  if (found != entries.end() && found->type == GgufType::kArray) {
    const GgufArray& flags = *find_array(keys.metadata(), key, {GgufType::kBool});
    if (flags.count != sliding.size()) {
      keys.refuse(kName, fmt::format("an array of {}", flags.count),
                  fmt::format("wanted a bool for each of {} layers", sliding.size()));
    }
    for (size_t i = 0; i < sliding.size(); ++i) sliding[i] = flags.bytes[i] != std::byte{0};
    return sliding;
  }
  const int32_t n = keys.integer(kName, 1, kMaxLayers).value_or(period);
  for (int32_t i = 0; i < config.n_layers; ++i) {
    sliding[static_cast<size_t>(i)] = i % n != n - 1;
  }
  return sliding;
}

template <typename IsSliding>
void set_windows(ModelConfig& config, int32_t window, IsSliding is_sliding) {
  for (int32_t i = 0; i < config.n_layers; ++i) {
    config.layers[static_cast<size_t>(i)].window = is_sliding(i) ? window : 0;
  }
}

int32_t read_window(const ArchitectureKeys& keys, int32_t by_default) {
  return keys.integer("attention.sliding_window", 0, kMaxContext).value_or(by_default);
}

// ---- the architectures ----

void llama(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  if (keys.integer("expert_count", 0, kMaxExperts).value_or(0) > 0) read_moe(keys, config, true);
}

void qwen2(const ArchitectureKeys&, const Tensors&, ModelConfig&) {}

void qwen2moe(const ArchitectureKeys& keys, const Tensors& tensors, ModelConfig& config) {
  read_moe(keys, config, false);
  config.moe.has_shared_gate = true;
  const auto shared = keys.integer("expert_shared_feed_forward_length", 1, kMaxFfn);
  const StoredTensor* up = find_tensor(tensors, "blk.0.ffn_up_shexp.weight");
  const int64_t stored = up != nullptr ? std::min(up->shape.front(), kMaxFfn) : config.ffn_size;
  config.moe.shared_ffn_size = shared.value_or(static_cast<int32_t>(stored));
}

void qwen3(const ArchitectureKeys&, const Tensors&, ModelConfig& config) {
  config.qk_norm = QkNorm::kHead;
}

void qwen3moe(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  read_moe(keys, config, true);
  config.qk_norm = QkNorm::kHead;
}

void gemma(const ArchitectureKeys&, const Tensors&, ModelConfig& config) {
  config.activation = Activation::kGeluTanh;
  config.embedding_scale = static_cast<float>(std::sqrt(double(config.hidden_size)));
}

// Gemma's largest models, known by their depth, scale attention by the embedding's share of a head;
// most files have no key that says so.
void gemma_post_norms(const ArchitectureKeys& keys, const Tensors& tensors, ModelConfig& config,
                      int32_t layers_of_27b) {
  gemma(keys, tensors, config);
  config.has_post_norm = true;
  const bool says_scale = keys.number("attention.scale", 0.0, kMostScale).value_or(0.0) != 0.0;
  if (config.n_layers != layers_of_27b || says_scale) return;
  config.attention_scale =
      static_cast<float>(1.0 / std::sqrt(double(config.hidden_size) / config.n_heads));
}

float read_softcap(const ArchitectureKeys& keys, std::string_view name, double by_default) {
  return static_cast<float>(keys.number(name, 0.0, kMostScale).value_or(by_default));
}

void gemma2(const ArchitectureKeys& keys, const Tensors& tensors, ModelConfig& config) {
  gemma_post_norms(keys, tensors, config, 46);
  config.attention_softcap = read_softcap(keys, "attn_logit_softcapping", 50.0);
  config.logit_softcap = read_softcap(keys, "final_logit_softcapping", 30.0);
  const std::vector<bool> sliding = sliding_layers(keys, config, 2);
  set_windows(config, read_window(keys, 4096),
              [&](int32_t i) { return sliding[static_cast<size_t>(i)]; });
}

void gemma3(const ArchitectureKeys& keys, const Tensors& tensors, ModelConfig& config) {
  gemma_post_norms(keys, tensors, config, 62);
  config.qk_norm = QkNorm::kHead;
  config.logit_softcap = read_softcap(keys, "final_logit_softcapping", 0.0);
  const std::vector<bool> sliding = sliding_layers(keys, config, 6);
  set_windows(config, read_window(keys, 0),
              [&](int32_t i) { return sliding[static_cast<size_t>(i)]; });
  RopeConfig local;  // never scaled
  local.kind = config.ropes[0].kind;
  local.rotary_dim = config.ropes[0].rotary_dim;
  local.theta = keys.number("rope.freq_base_swa", 1.001, 1e12).value_or(10000.0);
  config.ropes.push_back(local);
  for (size_t i = 0; i < config.layers.size(); ++i) config.layers[i].rope_idx = sliding[i] ? 1 : 0;
}

void phi2(const ArchitectureKeys&, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.has_gate = false;
  config.activation = Activation::kGeluTanh;
  config.is_parallel = true;
}

void phi3(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  set_windows(config, read_window(keys, 0), [](int32_t) { return true; });
}

// Every fourth layer is not told positions; no key says so.
void smollm3(const ArchitectureKeys&, const Tensors&, ModelConfig& config) {
  for (int32_t i = 0; i < config.n_layers; ++i) {
    config.layers[static_cast<size_t>(i)].rope_idx = (i + 1) % 4 != 0 ? 0 : -1;
  }
}

void granite(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  config.embedding_scale = keys.scale("embedding_scale");
  config.residual_scale = keys.scale("residual_scale");
  config.logit_scale = 1.0f / keys.scale("logit_scale");
}

void olmo(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.qkv_clip =
      static_cast<float>(keys.number("attention.clamp_kqv", 0.0, kMostScale).value_or(0.0));
}

void olmo2(const ArchitectureKeys&, const Tensors&, ModelConfig& config) {
  config.has_pre_norm = false;
  config.has_post_norm = true;
  config.qk_norm = QkNorm::kRow;
}

void olmoe(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  read_moe(keys, config, false);
  config.qk_norm = QkNorm::kRow;
}

void gpt2(const ArchitectureKeys&, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.has_gate = false;
  config.activation = Activation::kGeluTanh;
  config.has_position_embedding = true;
}

void gptneox(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.has_gate = false;
  config.activation = Activation::kGelu;
  config.is_parallel = keys.flag("use_parallel_residual", true);
  config.has_parallel_norm = config.is_parallel;
}

void starcoder2(const ArchitectureKeys&, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.has_gate = false;
  config.activation = Activation::kGeluTanh;
}

// Larger models have them; no key says so.
void norm_each_head(const Tensors& tensors, ModelConfig& config) {
  if (find_tensor(tensors, "blk.0.attn_q_norm.weight") == nullptr) return;
  config.qk_norm = QkNorm::kEachHead;
}

// Its parallel form reads one norm; then there is no other.
void stablelm(const ArchitectureKeys& keys, const Tensors& tensors, ModelConfig& config) {
  layer_norms(config);
  config.is_parallel = keys.flag("use_parallel_residual", false);
  if (find_tensor(tensors, "blk.0.ffn_norm.weight") == nullptr) config.is_parallel = true;
  config.has_parallel_norm = false;
  norm_each_head(tensors, config);
}

void command_r(const ArchitectureKeys& keys, const Tensors& tensors, ModelConfig& config) {
  layer_norms(config);
  config.is_parallel = true;
  config.logit_scale = keys.scale("logit_scale");
  norm_each_head(tensors, config);
}

// Layers with a window are rotated, those that see everything have no positions.
void cohere2(const ArchitectureKeys& keys, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.is_parallel = true;
  config.logit_scale = keys.scale("logit_scale");
  const std::vector<bool> sliding = sliding_layers(keys, config, 4);
  const int32_t window = keys.size("attention.sliding_window", kMaxContext);
  set_windows(config, window, [&](int32_t i) { return sliding[static_cast<size_t>(i)]; });
  for (LayerConfig& layer : config.layers) layer.rope_idx = layer.window > 0 ? 0 : -1;
}

constexpr RopeKind kInterleaved = RopeKind::kInterleaved, kHalf = RopeKind::kHalf;

// Converters of the interleaved ones permute the rows of q and k for pairs of neighbours.
const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> kAll = {
      {"cohere2", kInterleaved, cohere2, {"attention.sliding_window", "logit_scale"}},
      {"command-r", kInterleaved, command_r, {"logit_scale"}},
      {"gemma", kHalf, gemma},
      {"gemma2",
       kHalf,
       gemma2,
       {"attention.sliding_window", "attn_logit_softcapping", "final_logit_softcapping"}},
      {"gemma3",
       kHalf,
       gemma3,
       {"attention.sliding_window", "final_logit_softcapping", "rope.freq_base_swa"}},
      {"gpt2", kHalf, gpt2, {}, false},
      {"gptneox", kHalf, gptneox, {"use_parallel_residual"}},
      {"granite", kInterleaved, granite, {"embedding_scale", "residual_scale", "logit_scale"}},
      {"llama", kInterleaved, llama, {"expert_count"}},
      {"mistral3", kInterleaved, llama, {"expert_count"}},
      {"olmo", kInterleaved, olmo, {"attention.clamp_kqv"}},
      {"olmo2", kHalf, olmo2},
      {"olmoe", kHalf, olmoe, {"expert_count"}},
      {"phi2", kHalf, phi2},
      {"phi3", kHalf, phi3, {"attention.sliding_window"}},
      {"qwen2", kHalf, qwen2},
      {"qwen2moe", kHalf, qwen2moe, {"expert_count"}},
      {"qwen3", kHalf, qwen3},
      {"qwen3moe", kHalf, qwen3moe, {"expert_count"}},
      {"smollm3", kInterleaved, smollm3},
      {"stablelm", kHalf, stablelm, {"use_parallel_residual"}},
      {"starcoder2", kHalf, starcoder2},
  };
  return kAll;
}

const Architecture& find_architecture(const GgufMetadata& metadata) {
  const auto name = find_string(metadata, "general.architecture");
  std::string known;
  for (const Architecture& architecture : architectures()) {
    if (name == architecture.name) return architecture;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", architecture.name);
  }
  if (!name) {
    throw FormatError(fmt::format("{}: \"general.architecture\" is missing; wanted one of {}",
                                  metadata.path, known));
  }
  throw FormatError(
      fmt::format("{}: models of architecture \"{}\" are not supported; supported are {}",
                  metadata.path, printable(*name), known));
}

// Keys that change the forward pass, in architectures that do not read them: only the neutral value
// will do.
void check_features(const ArchitectureKeys& keys, const Architecture& architecture) {
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

void read_heads(const ArchitectureKeys& keys, ModelConfig& config) {
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
  const double scale = keys.number("attention.scale", 0.0, kMostScale).value_or(0.0);
  config.attention_scale =
      static_cast<float>(scale != 0.0 ? scale : 1.0 / std::sqrt(double(config.head_dim)));
}

// Like llama.cpp: a factor without a type is linear; scale_linear is the older name.
void read_rope_scaling(const ArchitectureKeys& keys, RopeConfig& rope, int32_t context_length) {
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

void read_rope(const ArchitectureKeys& keys, const Architecture& architecture,
               ModelConfig& config) {
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

float read_norm_eps(const ArchitectureKeys& keys, NormKind kind) {
  const std::string_view name =
      kind == NormKind::kRms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
  const auto eps = keys.number(name, 0.0, 1.0);
  if (!eps) throw FormatError(fmt::format("{}: \"{}\" is missing", keys.path(), keys.full(name)));
  return static_cast<float>(*eps);
}

}  // namespace

ModelConfig read_gguf_config(const GgufMetadata& metadata, const Tensors& tensors) {
  const Architecture& architecture = find_architecture(metadata);
  const ArchitectureKeys keys(metadata, architecture.name);
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
