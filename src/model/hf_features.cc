#include "model/hf_features.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "model/hf_rope.h"
#include "model/model_limits.h"

namespace prefold {
namespace {

double number_or(const JsonObject& json, std::string_view key, double by_default, double least,
                 double most) {
  return json.find_number(key, least, most).value_or(by_default);
}
float scale_or(const JsonObject& json, std::string_view key, double by_default) {
  return static_cast<float>(number_or(json, key, by_default, 1e-6, kMaxScale));
}
int32_t int_or(const JsonObject& json, std::string_view key, int64_t by_default, int64_t least,
               int64_t most) {
  return static_cast<int32_t>(json.find_int(key, least, most).value_or(by_default));
}
bool flag(const JsonObject& json, std::string_view key, bool by_default) {
  return json.find_bool(key).value_or(by_default);
}

void expect(HfModel& model, std::initializer_list<std::string_view> kinds, bool is_there,
            std::string_view because) {
  for (const std::string_view kind : kinds) {
    model.presence.push_back({std::string(kind), is_there, std::string(because)});
  }
}

void expect_qkv_biases(HfModel& model, bool are_there, std::string_view because) {
  expect(model, {"attn_q.bias", "attn_k.bias", "attn_v.bias"}, are_there, because);
}
void expect_biases(HfModel& model, bool in_qkv, bool in_output, bool in_ffn,
                   std::string_view because) {
  expect_qkv_biases(model, in_qkv, because);
  expect(model, {"attn_output.bias"}, in_output, because);
  expect(model, {"ffn_up.bias", "ffn_down.bias"}, in_ffn, because);
  if (model.config.has_gate) expect(model, {"ffn_gate.bias"}, in_ffn, because);
}

// "attention_bias" is of q, k, v and o; "mlp_bias" of the feed-forward matrices.
void read_llama_biases(const JsonObject& json, HfModel& model) {
  const bool attention = flag(json, "attention_bias", false);
  expect_biases(model, attention, attention, flag(json, "mlp_bias", false),
                "attention_bias and mlp_bias");
}

// sliding_window, or what holds without one; null means none.
int32_t read_window(const JsonObject& json, int32_t by_default) {
  if (!json.has("sliding_window")) return by_default;
  return static_cast<int32_t>(json.find_int("sliding_window", 0, kMaxContext).value_or(0));
}

void set_windows(ModelConfig& config, int32_t window,
                 const std::function<bool(int32_t)>& is_sliding) {
  for (int32_t i = 0; i < config.n_layers; ++i) {
    config.layers[static_cast<size_t>(i)].window = is_sliding(i) ? window : 0;
  }
}

// As layer_types says where it is given, else as is_sliding does.
void read_windows(const JsonObject& json, ModelConfig& config, int32_t window,
                  const std::function<bool(int32_t)>& is_sliding) {
  const auto types = json.find_strings("layer_types");
  if (!types) return set_windows(config, window, is_sliding);
  if (types->size() != static_cast<size_t>(config.n_layers)) {
    throw FormatError(fmt::format("{}: \"layer_types\" has {} entries; the model has {} layers",
                                  json.path(), types->size(), config.n_layers));
  }
  for (const std::string& type : *types) {
    if (type == "full_attention") continue;
    if (type != "sliding_attention") {
      json.throw_unexpected("layer_types",
                            "wanted \"full_attention\" and \"sliding_attention\" only");
    }
    if (window == 0) json.throw_unexpected("sliding_window", "\"layer_types\" wants one");
  }
  set_windows(config, window,
              [&](int32_t i) { return (*types)[static_cast<size_t>(i)] == "sliding_attention"; });
}

bool always(int32_t) { return true; }
bool never(int32_t) { return false; }

void refuse(const JsonObject& json, std::string_view key, bool neutral, std::string_view why) {
  if (flag(json, key, neutral) != neutral) json.throw_unexpected(key, why);
}

// Keys that real files have and transformers does not look at.
void leave_aside(const JsonObject& json, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) json.find(key);
}

void layer_norms(HfModel& model, bool with_bias) {
  model.config.norm_kind = NormKind::kLayer;
  expect(model, {"norm weight"}, true, "architecture");
  expect(model, {"norm bias"}, with_bias, "architecture");
}

void all_layers_moe(ModelConfig& config) {
  for (LayerConfig& layer : config.layers) layer.is_moe = true;
}

// ---- the architectures ----

void llama(const JsonObject& json, HfModel& model) {
  read_hf_rope(json, {}, model.config);
  read_windows(json, model.config, 0, never);
  read_llama_biases(json, model);
}

void mistral(const JsonObject& json, HfModel& model) {
  read_hf_rope(json, {}, model.config);
  read_windows(json, model.config, read_window(json, 4096), always);
  expect_biases(model, false, false, false, "architecture");
}

void mixtral(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {.theta = 1e6}, config);
  set_windows(config, read_window(json, 0), always);
  config.moe.n_experts = int_or(json, "num_local_experts", 8, 1, kMaxExperts);
  config.moe.n_used = int_or(json, "num_experts_per_tok", 2, 1, kMaxExperts);
  config.moe.ffn_size = config.ffn_size;
  config.moe.normalise_weights = true;
  all_layers_moe(config);
  expect_qkv_biases(model, false, "architecture");
}

// Qwen's windows are of the layers from max_window_layers on.
void read_qwen_windows(const JsonObject& json, ModelConfig& config) {
  const int32_t first = int_or(json, "max_window_layers", 28, 0, kMaxLayers);
  const int32_t window = read_window(json, 4096);
  if (!flag(json, "use_sliding_window", false)) return read_windows(json, config, 0, never);
  read_windows(json, config, window, [&](int32_t i) { return window > 0 && i >= first; });
}

void qwen2(const JsonObject& json, HfModel& model) {
  read_hf_rope(json, {}, model.config);
  read_qwen_windows(json, model.config);
  expect_biases(model, true, false, false, "architecture");
}

void qwen3(const JsonObject& json, HfModel& model) {
  read_hf_rope(json, {}, model.config);
  read_qwen_windows(json, model.config);
  model.config.qk_norm = QkNorm::kHead;
  const bool biased = flag(json, "attention_bias", false);
  expect_biases(model, biased, biased, false, "attention_bias");
}

// num_experts, or num_local_experts, as transformers also calls it.
int32_t read_experts(const JsonObject& json, int32_t by_default, int32_t least) {
  const int32_t n_local = int_or(json, "num_local_experts", by_default, least, kMaxExperts);
  return int_or(json, "num_experts", n_local, least, kMaxExperts);
}

// Which layers have experts, of the two Qwen families that have some; the rest are dense.
void read_qwen_moe(const JsonObject& json, ModelConfig& config, int32_t n_experts, int32_t n_used,
                   int32_t ffn_size) {
  config.moe.n_experts = read_experts(json, n_experts, 0);
  config.moe.n_used = int_or(json, "num_experts_per_tok", n_used, 1, kMaxExperts);
  config.moe.ffn_size = int_or(json, "moe_intermediate_size", ffn_size, 1, kMaxFfn);
  config.moe.normalise_weights = flag(json, "norm_topk_prob", false);
  const int32_t step = int_or(json, "decoder_sparse_step", 1, 1, kMaxLayers);
  const auto dense =
      json.find_numbers("mlp_only_layers", 0, kMaxLayers).value_or(std::vector<double>{});
  for (int32_t i = 0; i < config.n_layers; ++i) {
    const bool is_dense = std::find(dense.begin(), dense.end(), double(i)) != dense.end();
    config.layers[static_cast<size_t>(i)].is_moe =
        !is_dense && config.moe.n_experts > 0 && (i + 1) % step == 0;
  }
}

void qwen2_moe(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  const int32_t n_first = int_or(json, "max_window_layers", 28, 0, kMaxLayers);
  const int32_t window = read_window(json, 4096);
  const bool has_windows = flag(json, "use_sliding_window", false);
  read_windows(json, config, has_windows ? window : 0,
               [&](int32_t i) { return has_windows && i % 2 == 0 && i < n_first; });
  read_qwen_moe(json, config, 60, 4, 1408);
  config.moe.shared_ffn_size = int_or(json, "shared_expert_intermediate_size", 5632, 1, kMaxFfn);
  config.moe.has_shared_gate = true;
  expect_qkv_biases(model, flag(json, "qkv_bias", true), "qkv_bias");
  expect(model, {"attn_output.bias"}, false, "architecture");
}

void qwen3_moe(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  leave_aside(json, {"max_window_layers"});
  const int32_t window = read_window(json, 4096);
  set_windows(config, flag(json, "use_sliding_window", false) ? window : 0, always);
  read_qwen_moe(json, config, 128, 8, 768);
  config.qk_norm = QkNorm::kHead;
  const bool biased = flag(json, "attention_bias", false);
  expect_qkv_biases(model, biased, "attention_bias");
  expect(model, {"attn_output.bias"}, biased, "attention_bias");
}

// What all gemmas have: embeddings times sqrt(hidden_size), norms stored less one, tanh's GELU.
void gemma_like(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  config.embedding_scale = static_cast<float>(std::sqrt(double(config.hidden_size)));
  model.norms_plus_one = true;
  if (config.activation == Activation::kGelu) config.activation = Activation::kGeluTanh;
  refuse(json, "use_bidirectional_attention", false, "only causal models are supported");
  const bool biased = flag(json, "attention_bias", false);
  expect_biases(model, biased, biased, false, "attention_bias");
}

void gemma(const JsonObject& json, HfModel& model) {
  read_hf_rope(json, {}, model.config);
  leave_aside(json, {"hidden_activation"});
  gemma_like(json, model);
}

// Gemma 2 and 3: norms after each block too, and their own scale of attention.
void gemma2_like(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  config.has_post_norm = true;
  config.attention_scale = static_cast<float>(
      1.0 / std::sqrt(number_or(json, "query_pre_attn_scalar", 256, 1e-3, kMaxScale)));
  leave_aside(json, {"hidden_act"});
  gemma_like(json, model);
}

float read_softcap(const JsonObject& json, std::string_view key, double by_default) {
  if (!json.has(key)) return static_cast<float>(by_default);
  return static_cast<float>(json.find_number(key, 1e-3, kMaxScale).value_or(0.0));
}

void gemma2(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  gemma2_like(json, model);
  config.attention_softcap = read_softcap(json, "attn_logit_softcapping", 50.0);
  config.logit_softcap = read_softcap(json, "final_logit_softcapping", 30.0);
  read_windows(json, config, read_window(json, 4096), [](int32_t i) { return i % 2 == 0; });
}

void gemma3(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  gemma2_like(json, model);
  config.qk_norm = QkNorm::kHead;
  config.attention_softcap = read_softcap(json, "attn_logit_softcapping", 0.0);
  config.logit_softcap = read_softcap(json, "final_logit_softcapping", 0.0);
  read_hf_rope_by_layer_type(json, 1e6, 1e4, config);
  const int32_t window = read_window(json, 4096);
  const int32_t pattern = int_or(json, "sliding_window_pattern", 6, 1, kMaxLayers);
  read_windows(json, config, window, [&](int32_t i) { return (i + 1) % pattern != 0; });
  for (LayerConfig& layer : config.layers) layer.rope_idx = layer.window > 0 ? 1 : 0;
}

void phi3(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {.is_phi3 = true}, config);
  set_windows(config, read_window(json, 0), always);
  refuse(json, "lm_head_bias", false, "a phi3 model has none");
  refuse(json, "attention_bias", false, "a phi3 model has none");
  refuse(json, "mlp_bias", false, "a phi3 model has none");
  expect_biases(model, false, false, false, "architecture");
}

void smollm3(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {.theta = 2e6}, config);
  const int32_t interval = int_or(json, "no_rope_layer_interval", 4, 1, kMaxLayers);
  // One for each layer: 1 if it has RoPE.
  const auto has_rope = json.find_numbers("no_rope_layers", 0, 1);
  if (has_rope && has_rope->size() != static_cast<size_t>(config.n_layers)) {
    json.throw_unexpected("no_rope_layers", fmt::format("wanted {} numbers", config.n_layers));
  }
  for (int32_t i = 0; i < config.n_layers; ++i) {
    const auto at = static_cast<size_t>(i);
    const bool rotated = has_rope ? (*has_rope)[at] != 0.0 : (i + 1) % interval != 0;
    config.layers[at].rope_idx = rotated ? 0 : -1;
  }
  leave_aside(json, {"max_window_layers"});
  const int32_t window = read_window(json, 0);
  const bool has_windows = flag(json, "use_sliding_window", false) && window > 0;
  read_windows(json, config, has_windows ? window : 0, [&](int32_t i) {
    return has_windows && config.layers[static_cast<size_t>(i)].rope_idx < 0;
  });
  read_llama_biases(json, model);
}

void granite(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  config.embedding_scale = scale_or(json, "embedding_multiplier", 1.0);
  config.residual_scale = scale_or(json, "residual_multiplier", 1.0);
  config.attention_scale = scale_or(json, "attention_multiplier", 1.0);
  config.logit_scale =
      static_cast<float>(1.0 / number_or(json, "logits_scaling", 1.0, 1e-6, kMaxScale));
  read_llama_biases(json, model);
}

float read_clip(const JsonObject& json) {
  return static_cast<float>(number_or(json, "clip_qkv", 0.0, 0.0, kMaxScale));
}

void olmo(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  config.norm_kind = NormKind::kLayer;
  expect(model, {"norm weight", "norm bias"}, false, "architecture");
  config.qkv_clip = read_clip(json);
  const bool biased = flag(json, "attention_bias", false);
  expect_biases(model, biased, biased, false, "attention_bias");
}

void olmo2(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  config.has_pre_norm = false;
  config.has_post_norm = true;
  config.qk_norm = QkNorm::kRow;
  const bool biased = flag(json, "attention_bias", false);
  expect_biases(model, biased, biased, false, "attention_bias");
}

void olmoe(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  config.qk_norm = QkNorm::kRow;
  config.qkv_clip = read_clip(json);
  config.moe.n_experts = read_experts(json, 64, 1);
  config.moe.n_used = int_or(json, "num_experts_per_tok", 8, 1, kMaxExperts);
  config.moe.ffn_size = config.ffn_size;
  config.moe.normalise_weights = flag(json, "norm_topk_prob", false);
  all_layers_moe(config);
  const bool biased = flag(json, "attention_bias", false);
  expect_qkv_biases(model, biased, "attention_bias");
  expect(model, {"attn_output.bias"}, biased, "attention_bias");
}

void gpt2(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  config.has_gate = false;
  config.has_position_embedding = true;
  config.n_kv_heads = config.n_heads;  // transformers does not read num_key_value_heads here
  for (LayerConfig& layer : config.layers) layer.rope_idx = -1;
  layer_norms(model, true);
  expect_biases(model, true, true, true, "architecture");
  if (!flag(json, "scale_attn_weights", true)) config.attention_scale = 1.0f;
  refuse(json, "scale_attn_by_inverse_layer_idx", false, "scaling by the layer is not supported");
  refuse(json, "add_cross_attention", false, "only decoders without an encoder are supported");
  leave_aside(json, {"reorder_and_upcast_attn", "n_ctx"});
}

void gpt_neox(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {.partial = 0.25, .theta_key = "rotary_emb_base", .partial_key = "rotary_pct"},
               config);
  config.has_gate = false;
  config.n_kv_heads = config.n_heads;  // transformers does not read num_key_value_heads here
  config.is_parallel = flag(json, "use_parallel_residual", true);
  config.has_parallel_norm = config.is_parallel;
  layer_norms(model, true);
  const bool biased = flag(json, "attention_bias", true);
  expect_biases(model, biased, biased, true, "attention_bias");
}

void phi(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {.partial = 0.5}, config);
  config.has_gate = false;
  config.is_parallel = true;
  layer_norms(model, true);
  if (flag(json, "qk_layernorm", false)) config.qk_norm = QkNorm::kHead;
  expect_biases(model, true, true, true, "architecture");
  expect(model, {"output.bias"}, true, "architecture");
}

void starcoder2(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {}, config);
  set_windows(config, read_window(json, 0), always);
  leave_aside(json, {"activation_function", "attention_softmax_in_fp32", "layer_norm_epsilon",
                     "norm_type", "scale_attention_softmax_in_fp32", "scale_attn_weights"});
  config.has_gate = false;
  layer_norms(model, true);
  const bool biased = flag(json, "use_bias", true);
  expect_biases(model, biased, biased, biased, "use_bias");
}

void stablelm(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {.partial = 0.25}, config);
  config.is_parallel = flag(json, "use_parallel_residual", false);
  layer_norms(model, true);
  if (flag(json, "qk_layernorm", false)) config.qk_norm = QkNorm::kEachHead;
  expect_biases(model, flag(json, "use_qkv_bias", false), false, false, "use_qkv_bias");
}

void cohere_like(const JsonObject& json, double default_theta, HfModel& model) {
  ModelConfig& config = model.config;
  read_hf_rope(json, {.theta = default_theta}, config);
  config.ropes[0].kind = RopeKind::kInterleaved;
  config.is_parallel = true;
  layer_norms(model, false);
  config.logit_scale = scale_or(json, "logit_scale", 0.0625);
  const bool biased = flag(json, "attention_bias", false);
  expect_biases(model, biased, biased, false, "attention_bias");
}

void cohere(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  cohere_like(json, 500000.0, model);
  if (flag(json, "use_qk_norm", false)) config.qk_norm = QkNorm::kEachHead;
}

// Three layers of four have a window and are rotated, the fourth sees everything and has no
// positions.
void cohere2(const JsonObject& json, HfModel& model) {
  ModelConfig& config = model.config;
  cohere_like(json, 10000.0, model);
  leave_aside(json, {"layer_switch", "order_of_interleaved_layers", "position_embedding_type",
                     "rotary_pct", "use_embedding_sharing", "use_gated_activation",
                     "use_parallel_block", "use_parallel_embedding"});
  const int32_t pattern = int_or(json, "sliding_window_pattern", 4, 1, kMaxLayers);
  read_windows(json, config, read_window(json, 4096),
               [&](int32_t i) { return (i + 1) % pattern != 0; });
  for (LayerConfig& layer : config.layers) layer.rope_idx = layer.window > 0 ? 0 : -1;
}

constexpr HfKeys kLayerNormKeys{.norm_eps = "layer_norm_eps"};
constexpr HfKeys kGemmaKeys{.activation = "hidden_activation"};
constexpr HfKeys kGpt2Keys{.hidden_size = "n_embd",
                           .ffn_size = "n_inner",
                           .n_layers = "n_layer",
                           .n_heads = "n_head",
                           .context_length = "n_positions",
                           .norm_eps = "layer_norm_epsilon",
                           .activation = "activation_function"};

// vocabulary, hidden, FFN, layers, heads, KV heads, context, epsilon, activation, tied, head_dim
constexpr HfArchitecture kArchitectures[] = {
    {"cohere", {256000, 8192, 22528, 40, 64, 0, 8192, 1e-5, "silu", true}, cohere, kLayerNormKeys},
    {"cohere2",
     {256000, 8192, 22528, 40, 64, 0, 8192, 1e-5, "silu", true},
     cohere2,
     kLayerNormKeys},
    {"gemma", {256000, 3072, 24576, 28, 16, 16, 8192, 1e-6, "gelu_pytorch_tanh", true, 256}, gemma},
    {"gemma2",
     {256000, 2304, 9216, 26, 8, 4, 8192, 1e-6, "gelu_pytorch_tanh", true, 256},
     gemma2,
     kGemmaKeys},
    {"gemma3_text",
     {262208, 2304, 9216, 26, 8, 4, 131072, 1e-6, "gelu_pytorch_tanh", true, 256},
     gemma3,
     kGemmaKeys},
    {"gpt2",
     {50257, 768, 0, 12, 12, 0, 1024, 1e-5, "gelu_new", true},
     gpt2,
     kGpt2Keys,
     HfNames::kGpt2},
    {"gpt_neox",
     {50432, 6144, 24576, 44, 64, 0, 2048, 1e-5, "gelu", false},
     gpt_neox,
     kLayerNormKeys,
     HfNames::kGptNeoX},
    {"granite", {32000, 4096, 11008, 32, 32, 0, 2048, 1e-6, "silu", false}, granite},
    {"llama", {32000, 4096, 11008, 32, 32, 0, 2048, 1e-6, "silu", false}, llama},
    {"ministral", {32000, 4096, 14336, 32, 32, 8, 131072, 1e-6, "silu", false}, mistral},
    {"mistral", {32000, 4096, 14336, 32, 32, 8, 131072, 1e-6, "silu", false}, mistral},
    {"mixtral", {32000, 4096, 14336, 32, 32, 8, 131072, 1e-5, "silu", false}, mixtral},
    {"olmo", {50304, 4096, 11008, 32, 32, 0, 2048, 1e-5, "silu", false}, olmo},
    {"olmo2", {50304, 4096, 11008, 32, 32, 0, 2048, 1e-5, "silu", false}, olmo2},
    {"olmoe", {50304, 2048, 2048, 16, 16, 0, 4096, 1e-5, "silu", false}, olmoe},
    {"phi", {51200, 2048, 8192, 24, 32, 0, 2048, 1e-5, "gelu_new", false}, phi, kLayerNormKeys},
    {"phi3", {32064, 3072, 8192, 32, 32, 0, 4096, 1e-5, "silu", false}, phi3},
    {"qwen2", {151936, 4096, 22016, 32, 32, 32, 32768, 1e-6, "silu", false}, qwen2},
    {"qwen2_moe", {151936, 2048, 5632, 24, 16, 16, 32768, 1e-6, "silu", false}, qwen2_moe},
    {"qwen3", {151936, 4096, 22016, 32, 32, 32, 32768, 1e-6, "silu", false, 128}, qwen3},
    {"qwen3_moe", {151936, 2048, 6144, 24, 32, 4, 32768, 1e-6, "silu", false}, qwen3_moe},
    {"smollm3", {128256, 2048, 11008, 36, 16, 4, 32768, 1e-6, "silu", true}, smollm3},
    {"stablelm",
     {50304, 2560, 6912, 32, 32, 32, 4096, 1e-5, "silu", false},
     stablelm,
     kLayerNormKeys},
    {"starcoder2",
     {49152, 3072, 12288, 30, 24, 2, 4096, 1e-5, "gelu_pytorch_tanh", true},
     starcoder2,
     HfKeys{.norm_eps = "norm_epsilon"}},
};

}  // namespace

std::span<const HfArchitecture> hf_architectures() { return kArchitectures; }

const HfArchitecture* find_hf_architecture(std::string_view model_type) {
  for (const HfArchitecture& architecture : kArchitectures) {
    if (architecture.model_type == model_type) return &architecture;
  }
  return nullptr;
}

}  // namespace prefold
