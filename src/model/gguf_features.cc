#include "model/gguf_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/model_limits.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

using Tensors = std::vector<StoredTensor>;

void layer_norms(ModelConfig& config) { config.norm_kind = NormKind::kLayer; }

void all_layers_moe(ModelConfig& config) {
  for (LayerConfig& layer : config.layers) layer.is_moe = true;
}

void read_moe(const GgufKeys& keys, ModelConfig& config, bool normalise) {
  config.moe.n_experts = keys.size("expert_count", kMaxExperts);
  config.moe.n_used = keys.size("expert_used_count", kMaxExperts);
  config.moe.ffn_size =
      keys.integer("expert_feed_forward_length", 1, kMaxFfn).value_or(config.ffn_size);
  config.moe.normalise_weights = normalise;
  all_layers_moe(config);
}

// Which layers have a window: as a flag for each or a period says, else by the architecture's
// period, whose last layer sees everything.
std::vector<bool> sliding_layers(const GgufKeys& keys, const ModelConfig& config, int32_t period) {
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

int32_t read_window(const GgufKeys& keys, int32_t by_default) {
  return keys.integer("attention.sliding_window", 0, kMaxContext).value_or(by_default);
}

// ---- the architectures ----

void llama(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
  if (keys.integer("expert_count", 0, kMaxExperts).value_or(0) > 0) read_moe(keys, config, true);
}

void qwen2(const GgufKeys&, const Tensors&, ModelConfig&) {}

void qwen2moe(const GgufKeys& keys, const Tensors& tensors, ModelConfig& config) {
  read_moe(keys, config, false);
  config.moe.has_shared_gate = true;
  const auto shared = keys.integer("expert_shared_feed_forward_length", 1, kMaxFfn);
  const StoredTensor* up = find_tensor(tensors, "blk.0.ffn_up_shexp.weight");
  const int64_t stored = up != nullptr ? std::min(up->shape.front(), kMaxFfn) : config.ffn_size;
  config.moe.shared_ffn_size = shared.value_or(static_cast<int32_t>(stored));
}

void qwen3(const GgufKeys&, const Tensors&, ModelConfig& config) { config.qk_norm = QkNorm::kHead; }

void qwen3moe(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
  read_moe(keys, config, true);
  config.qk_norm = QkNorm::kHead;
}

void gemma(const GgufKeys&, const Tensors&, ModelConfig& config) {
  config.activation = Activation::kGeluTanh;
  config.embedding_scale = static_cast<float>(std::sqrt(double(config.hidden_size)));
}

// Gemma's largest models, known by their depth, scale attention by the embedding's share of a head;
// most files have no key that says so.
void gemma_post_norms(const GgufKeys& keys, const Tensors& tensors, ModelConfig& config,
                      int32_t layers_of_27b) {
  gemma(keys, tensors, config);
  config.has_post_norm = true;
  const bool says_scale = keys.number("attention.scale", 0.0, kMaxScale).value_or(0.0) != 0.0;
  if (config.n_layers != layers_of_27b || says_scale) return;
  config.attention_scale =
      static_cast<float>(1.0 / std::sqrt(double(config.hidden_size) / config.n_heads));
}

float read_softcap(const GgufKeys& keys, std::string_view name, double by_default) {
  return static_cast<float>(keys.number(name, 0.0, kMaxScale).value_or(by_default));
}

void gemma2(const GgufKeys& keys, const Tensors& tensors, ModelConfig& config) {
  gemma_post_norms(keys, tensors, config, 46);
  config.attention_softcap = read_softcap(keys, "attn_logit_softcapping", 50.0);
  config.logit_softcap = read_softcap(keys, "final_logit_softcapping", 30.0);
  const std::vector<bool> sliding = sliding_layers(keys, config, 2);
  set_windows(config, read_window(keys, 4096),
              [&](int32_t i) { return sliding[static_cast<size_t>(i)]; });
}

void gemma3(const GgufKeys& keys, const Tensors& tensors, ModelConfig& config) {
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

void phi2(const GgufKeys&, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.has_gate = false;
  config.activation = Activation::kGeluTanh;
  config.is_parallel = true;
}

void phi3(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
  set_windows(config, read_window(keys, 0), [](int32_t) { return true; });
}

// Every fourth layer is not told positions; no key says so.
void smollm3(const GgufKeys&, const Tensors&, ModelConfig& config) {
  for (int32_t i = 0; i < config.n_layers; ++i) {
    config.layers[static_cast<size_t>(i)].rope_idx = (i + 1) % 4 != 0 ? 0 : -1;
  }
}

void granite(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
  config.embedding_scale = keys.scale("embedding_scale");
  config.residual_scale = keys.scale("residual_scale");
  config.logit_scale = 1.0f / keys.scale("logit_scale");
}

void olmo(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.qkv_clip =
      static_cast<float>(keys.number("attention.clamp_kqv", 0.0, kMaxScale).value_or(0.0));
}

void olmo2(const GgufKeys&, const Tensors&, ModelConfig& config) {
  config.has_pre_norm = false;
  config.has_post_norm = true;
  config.qk_norm = QkNorm::kRow;
}

void olmoe(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
  read_moe(keys, config, false);
  config.qk_norm = QkNorm::kRow;
}

void gpt2(const GgufKeys&, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.has_gate = false;
  config.activation = Activation::kGeluTanh;
  config.has_position_embedding = true;
}

void gptneox(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
  layer_norms(config);
  config.has_gate = false;
  config.activation = Activation::kGelu;
  config.is_parallel = keys.flag("use_parallel_residual", true);
  config.has_parallel_norm = config.is_parallel;
}

void starcoder2(const GgufKeys&, const Tensors&, ModelConfig& config) {
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
void stablelm(const GgufKeys& keys, const Tensors& tensors, ModelConfig& config) {
  layer_norms(config);
  config.is_parallel = keys.flag("use_parallel_residual", false);
  if (find_tensor(tensors, "blk.0.ffn_norm.weight") == nullptr) config.is_parallel = true;
  config.has_parallel_norm = false;
  norm_each_head(tensors, config);
}

void command_r(const GgufKeys& keys, const Tensors& tensors, ModelConfig& config) {
  layer_norms(config);
  config.is_parallel = true;
  config.logit_scale = keys.scale("logit_scale");
  norm_each_head(tensors, config);
}

// Layers with a window are rotated, those that see everything have no positions.
void cohere2(const GgufKeys& keys, const Tensors&, ModelConfig& config) {
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
const std::vector<GgufArchitecture>& architectures() {
  static const std::vector<GgufArchitecture> kAll = {
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

}  // namespace

const GgufArchitecture& find_gguf_architecture(const GgufMetadata& metadata) {
  const auto name = find_string(metadata, "general.architecture");
  std::string known;
  for (const GgufArchitecture& architecture : architectures()) {
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

}  // namespace prefold
