#include "model/hf_names.h"

#include <algorithm>
#include <charconv>

namespace prefold {
namespace {

constexpr NameRule kLlamaGlobals[] = {{"embed_tokens", "token_embd"},
                                      {"norm", "output_norm"},
                                      {"final_layernorm", "output_norm"},
                                      {"lm_head", "output"},
                                      {"rotary_emb.inv_freq", "", TensorUse::kDropped}};
constexpr NameRule kLlamaLayers[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "", TensorUse::kQkv},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.dense", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.q_layernorm", "attn_q_norm"},
    {"self_attn.k_layernorm", "attn_k_norm"},
    {"self_attn.q_layernorm.norms.#", "attn_q_norm", TensorUse::kHeadNorm},
    {"self_attn.k_layernorm.norms.#", "attn_k_norm", TensorUse::kHeadNorm},
    {"self_attn.rotary_emb.inv_freq", "", TensorUse::kDropped},
    {"post_attention_layernorm", "", TensorUse::kPostAttention},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate_up_proj", "", TensorUse::kGateUp},
    {"mlp.fc1", "ffn_up"},
    {"mlp.fc2", "ffn_down"},
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"mlp.experts.#.gate_proj", "ffn_gate", TensorUse::kExpert},
    {"mlp.experts.#.up_proj", "ffn_up", TensorUse::kExpert},
    {"mlp.experts.#.down_proj", "ffn_down", TensorUse::kExpert},
    {"block_sparse_moe.experts.#.w1", "ffn_gate", TensorUse::kExpert},
    {"block_sparse_moe.experts.#.w3", "ffn_up", TensorUse::kExpert},
    {"block_sparse_moe.experts.#.w2", "ffn_down", TensorUse::kExpert},
    {"mlp.experts.gate_up_proj", "", TensorUse::kExpertsGateUp},
    {"mlp.experts.down_proj", "", TensorUse::kExpertsDown},
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
    {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"}};

constexpr NameRule kGpt2Globals[] = {{"wte", "token_embd"},
                                     {"wpe", "position_embd"},
                                     {"ln_f", "output_norm"},
                                     {"lm_head", "output"}};
constexpr NameRule kGpt2Layers[] = {{"ln_1", "attn_norm"},
                                    {"attn.c_attn", "", TensorUse::kQkvConv1d},
                                    {"attn.c_proj", "attn_output", TensorUse::kConv1d},
                                    {"attn.bias", "", TensorUse::kDropped},
                                    {"attn.masked_bias", "", TensorUse::kDropped},
                                    {"ln_2", "ffn_norm"},
                                    {"mlp.c_fc", "ffn_up", TensorUse::kConv1d},
                                    {"mlp.c_proj", "ffn_down", TensorUse::kConv1d}};

constexpr NameRule kGptNeoXGlobals[] = {{"embed_in", "token_embd"},
                                        {"final_layer_norm", "output_norm"},
                                        {"embed_out", "output"},
                                        {"lm_head", "output"},
                                        {"rotary_emb.inv_freq", "", TensorUse::kDropped}};
constexpr NameRule kGptNeoXLayers[] = {{"input_layernorm", "attn_norm"},
                                       {"post_attention_layernorm", "ffn_norm"},
                                       {"attention.query_key_value", "", TensorUse::kQkvByHead},
                                       {"attention.dense", "attn_output"},
                                       {"attention.bias", "", TensorUse::kDropped},
                                       {"attention.masked_bias", "", TensorUse::kDropped},
                                       {"attention.rotary_emb.inv_freq", "", TensorUse::kDropped},
                                       {"mlp.dense_h_to_4h", "ffn_up"},
                                       {"mlp.dense_4h_to_h", "ffn_down"}};

// As take_number, but what is behind the digits stays.
int32_t take_digits(std::string_view& text) {
  const size_t n_digits = std::min(text.find('.'), text.size());
  if (n_digits == 0 || n_digits > 6) return -1;
  if (text[0] == '0' && n_digits > 1) return -1;
  int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + n_digits, number);
  if (error != std::errc() || end != text.data() + n_digits || number < 0) return -1;
  text.remove_prefix(n_digits);
  return number;
}

// Whether `text` is as `pattern`; its "#" gives the number.
bool matches(std::string_view pattern, std::string_view text, int32_t& number) {
  const size_t mark = pattern.find('#');
  if (mark == std::string_view::npos) return text == pattern;
  if (text.substr(0, mark) != pattern.substr(0, mark)) return false;
  text.remove_prefix(mark);
  number = take_digits(text);
  return number >= 0 && text == pattern.substr(mark + 1);
}

}  // namespace

NameTable names_of(HfNames names) {
  if (names == HfNames::kGpt2) return {kGpt2Globals, kGpt2Layers, "h."};
  if (names == HfNames::kGptNeoX) return {kGptNeoXGlobals, kGptNeoXLayers, "layers."};
  return {kLlamaGlobals, kLlamaLayers, "layers."};
}

const NameRule* find_rule(std::span<const NameRule> rules, std::string_view name, int32_t& number) {
  for (const NameRule& rule : rules) {
    if (matches(rule.theirs, name, number)) return &rule;
  }
  return nullptr;
}

int32_t take_number(std::string_view& text) {
  const int32_t number = take_digits(text);
  if (number < 0 || text.empty()) return -1;
  text.remove_prefix(1);
  return number;
}

std::string_view without_prefixes(std::string_view name) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view prefix :
         {"language_model.", "model.", "transformer.", "gpt_neox."}) {
      if (!name.starts_with(prefix)) continue;
      name.remove_prefix(prefix.size());
      found = true;
    }
  }
  return name;
}

bool is_of_other_part(std::string_view name) {
  if (name.starts_with("model.")) name.remove_prefix(6);
  return name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.") ||
         name.starts_with("vision_model.");
}

std::string_view take_ending(std::string_view& name) {
  for (const std::string_view ending : {"weight", "bias", "qweight", "qzeros", "scales", "g_idx"}) {
    if (!name.ends_with(ending) || name.size() <= ending.size() + 1) continue;
    if (name[name.size() - ending.size() - 1] != '.') continue;
    name.remove_suffix(ending.size() + 1);
    return ending;
  }
  return "";
}

}  // namespace prefold
