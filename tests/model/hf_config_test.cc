#include "model/hf_config.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace prefold {
namespace {

// A small model's sizes; `more` is put after them.
HfModel read(const std::string& model_type, const std::string& more = "") {
  const std::string text =
      R"({"model_type":")" + model_type +
      R"(","vocab_size":100,"hidden_size":64,"intermediate_size":96,"num_hidden_layers":6,)"
      R"("num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":256)" +
      (more.empty() ? "" : "," + more) + "}";
  return read_hf_config("c", parse_json_object("c", text));
}

std::string message_of(const std::string& model_type, const std::string& more) {
  try {
    read(model_type, more);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

std::vector<int32_t> windows(const ModelConfig& config) {
  std::vector<int32_t> result;
  for (const LayerConfig& layer : config.layers) result.push_back(layer.window);
  return result;
}
std::vector<int32_t> ropes(const ModelConfig& config) {
  std::vector<int32_t> result;
  for (const LayerConfig& layer : config.layers) result.push_back(layer.rope_idx);
  return result;
}

TEST_CASE("sizes, and what follows from them where they are silent") {
  const ModelConfig llama = read("llama").config;
  CHECK(llama.architecture == "llama");
  CHECK(llama.vocab_size == 100);
  CHECK(llama.hidden_size == 64);
  CHECK(llama.ffn_size == 96);
  CHECK(llama.n_layers == 6);
  CHECK(llama.n_heads == 4);
  CHECK(llama.n_kv_heads == 2);
  CHECK(llama.head_dim == 16);
  CHECK(llama.context_length == 256);
  CHECK(llama.norm_eps == 1e-6f);
  CHECK(llama.attention_scale == 0.25f);
  CHECK(llama.activation == Activation::kSilu);
  CHECK_FALSE(llama.tied_embeddings);
  REQUIRE(llama.ropes.size() == 1);
  CHECK(llama.ropes[0].kind == RopeKind::kHalf);
  CHECK(llama.ropes[0].theta == 10000.0);
  CHECK(llama.ropes[0].rotary_dim == 16);
  const ModelConfig wide = read("llama", R"("head_dim":32,"rms_norm_eps":1e-5)").config;
  CHECK(wide.head_dim == 32);
  CHECK(wide.norm_eps == 1e-5f);
  const std::string bare = R"({"model_type":"llama","num_key_value_heads":null})";
  CHECK(read_hf_config("c", parse_json_object("c", bare)).config.n_kv_heads == 32);
  const std::string gpt2 = R"({"model_type":"gpt2","n_embd":32,"n_head":2,"n_inner":null})";
  const ModelConfig small = read_hf_config("c", parse_json_object("c", gpt2)).config;
  CHECK(small.hidden_size == 32);
  CHECK(small.ffn_size == 128);
  CHECK(small.n_kv_heads == 2);
  CHECK(small.tied_embeddings);
}

TEST_CASE("rope scaling in the older and the newer spelling") {
  for (const std::string spelling :
       {R"("rope_theta":5e5,"rope_scaling":{"type":"linear","factor":4.0})",
        R"("rope_theta":5e5,"rope_scaling":{"rope_type":"linear","factor":4})",
        R"("rope_parameters":{"rope_theta":5e5,"rope_type":"linear","factor":4.0})"}) {
    CAPTURE(spelling);
    const RopeConfig rope = read("llama", spelling).config.ropes[0];
    CHECK(rope.theta == 5e5);
    CHECK(rope.scaling == RopeScaling::kLinear);
    CHECK(rope.factor == 4.0);
  }
  const ModelConfig dynamic =
      read("llama", R"("rope_scaling":{"rope_type":"dynamic","factor":2.0})").config;
  CHECK(dynamic.context_length == 512);
  RopeConfig rope = dynamic.ropes[0];
  CHECK(rope.scaling == RopeScaling::kDynamic);
  CHECK(rope.original_context == 256);
  rope = read("qwen2", R"("rope_scaling":{"type":"yarn","factor":4.0,
                           "original_max_position_embeddings":64,"attention_factor":1.0})")
             .config.ropes[0];
  CHECK(rope.scaling == RopeScaling::kYarn);
  CHECK(rope.original_context == 64);
  CHECK(rope.attn_factor * (0.1 * std::log(4.0) + 1.0) == doctest::Approx(1.0));
  rope = read("llama", R"("rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
                           "high_freq_factor":4.0,"original_max_position_embeddings":128})")
             .config.ropes[0];
  CHECK(rope.scaling == RopeScaling::kLlama3);
  REQUIRE(rope.frequency_factors.size() == 8);
  CHECK(rope.frequency_factors.front() == 1.0f);  // 20 turns in 128 positions
  CHECK(rope.frequency_factors[2] > 1.0f);        // 2 turns: between
  CHECK(rope.frequency_factors[2] < 8.0f);
  CHECK(rope.frequency_factors.back() == 8.0f);
  rope = read("phi3", R"("original_max_position_embeddings":64,"rope_scaling":{"type":"su",
              "short_factor":[1,1,1,1,1,1,1,1],"long_factor":[1,2,3,4,5,6,7,8]})")
             .config.ropes[0];
  CHECK(rope.scaling == RopeScaling::kLongRope);
  CHECK(rope.original_context == 64);
  CHECK(rope.long_frequency_factors.back() == 8.0f);
  CHECK(rope.attn_factor == doctest::Approx(std::sqrt(1.0 + std::log(4.0) / std::log(64.0))));
  CHECK(message_of("llama", R"("rope_scaling":{"type":"mystery"})")
            .starts_with("c: rope scaling of type \"mystery\" is not supported"));
  CHECK(message_of("llama", R"("rope_scaling":{"type":"linear","factor":2.0,"twist":1})") ==
        "c: \"rope_scaling.twist\" is 1; which this rope scaling does not know");
  CHECK(message_of("llama", R"("rope_scaling":{"type":"linear"})") ==
        "c: \"rope_scaling.factor\" is missing; wanted a number from 0.001 to 1e6");
}

TEST_CASE("which layers have a window") {
  CHECK(windows(read("llama", R"("sliding_window":null)").config) == std::vector<int32_t>(6, 0));
  CHECK(windows(read("mistral").config) == std::vector<int32_t>(6, 4096));
  CHECK(windows(read("mistral", R"("sliding_window":null)").config) == std::vector<int32_t>(6, 0));
  CHECK(windows(read("mixtral").config) == std::vector<int32_t>(6, 0));
  const std::string three = R"("sliding_window":8,"layer_types":["sliding_attention",
      "full_attention","full_attention","sliding_attention","full_attention","full_attention"])";
  CHECK(windows(read("ministral", three).config) == std::vector<int32_t>{8, 0, 0, 8, 0, 0});
  CHECK(windows(read("qwen2", R"("sliding_window":8)").config) == std::vector<int32_t>(6, 0));
  CHECK(windows(read("qwen2", R"("use_sliding_window":true,"sliding_window":8,
                                 "max_window_layers":4)")
                    .config) == std::vector<int32_t>{0, 0, 0, 0, 8, 8});
  CHECK(windows(read("gemma2", R"("sliding_window":8)").config) ==
        std::vector<int32_t>{8, 0, 8, 0, 8, 0});
  const ModelConfig gemma3 = read("gemma3_text", R"("sliding_window":8)").config;
  CHECK(windows(gemma3) == std::vector<int32_t>{8, 8, 8, 8, 8, 0});
  CHECK(ropes(gemma3) == std::vector<int32_t>{1, 1, 1, 1, 1, 0});
  REQUIRE(gemma3.ropes.size() == 2);
  CHECK(gemma3.ropes[0].theta == 1e6);
  CHECK(gemma3.ropes[1].theta == 1e4);
  CHECK(ropes(read("smollm3").config) == std::vector<int32_t>{0, 0, 0, -1, 0, 0});
  CHECK(ropes(read("smollm3", R"("no_rope_layers":[0,1,1,1,0,1])").config) ==
        std::vector<int32_t>{-1, 0, 0, 0, -1, 0});
}

TEST_CASE("a wrapped text model is read from text_config") {
  const std::string text = R"({"model_type":"gemma3","vision_config":{"hidden_size":1},
      "text_config":{"hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,
                     "rope_scaling":{"factor":8.0,"rope_type":"linear"},"sliding_window":16}})";
  const HfModel model = read_hf_config("c", parse_json_object("c", text));
  CHECK(model.config.architecture == "gemma3_text");
  CHECK(model.config.n_heads == 8);  // of the class, not in the file
  CHECK(model.config.head_dim == 256);
  CHECK(model.config.vocab_size == 262208);
  CHECK(model.config.tied_embeddings);
  CHECK(model.config.ropes[0].scaling == RopeScaling::kLinear);
  CHECK(model.config.ropes[1].scaling == RopeScaling::kNone);
  CHECK(model.has_other_parts);
  CHECK(model.norms_plus_one);
}

TEST_CASE("experts, scales and caps") {
  const ModelConfig qwen = read("qwen2_moe", R"("num_experts":8,"num_experts_per_tok":2,
      "moe_intermediate_size":32,"shared_expert_intermediate_size":48,"decoder_sparse_step":2,
      "mlp_only_layers":[3])")
                               .config;
  CHECK(qwen.moe.n_experts == 8);
  CHECK(qwen.moe.shared_ffn_size == 48);
  CHECK_FALSE(qwen.moe.normalise_weights);
  std::vector<bool> is_moe;
  for (const LayerConfig& layer : qwen.layers) is_moe.push_back(layer.is_moe);
  CHECK(is_moe == std::vector<bool>{false, true, false, false, false, true});
  const ModelConfig granite = read("granite", R"("embedding_multiplier":12.0,"logits_scaling":8.0,
      "residual_multiplier":0.22,"attention_multiplier":0.0078125)")
                                  .config;
  CHECK(granite.embedding_scale == 12.0f);
  CHECK(granite.logit_scale == 0.125f);
  CHECK(granite.residual_scale == 0.22f);
  CHECK(granite.attention_scale == 0.0078125f);
  const ModelConfig gemma2 = read("gemma2", R"("query_pre_attn_scalar":64)").config;
  CHECK(gemma2.attention_softcap == 50.0f);
  CHECK(gemma2.logit_softcap == 30.0f);
  CHECK(gemma2.attention_scale == 0.125f);
  CHECK(gemma2.embedding_scale == 8.0f);
  CHECK(read("gemma2", R"("attn_logit_softcapping":null)").config.attention_softcap == 0.0f);
}

TEST_CASE("what is not known, or not supported, is refused by name") {
  CHECK(message_of("rwkv", "")
            .starts_with("c: models of \"model_type\" \"rwkv\" are not supported; supported are "
                         "cohere, cohere2, gemma, "));
  CHECK(message_of("llama", R"("attn_logit_softcapping":30.0)") ==
        "c: \"attn_logit_softcapping\" is 30.0; which is not known to models of this kind and may "
        "change them");
  CHECK(message_of("llama", R"("attn_logit_softcapping":null,"attention_dropout":0.1,
                               "unsloth_version":"2024.9","torch_dtype":"bfloat16")") ==
        "no error");
  CHECK(message_of("starcoder2", R"("norm_type":"layer_norm","mlp_type":"default",
      "activation_function":"gelu","layer_norm_epsilon":1e-5,"scale_attn_weights":true)") ==
        "no error");
  CHECK(message_of("smollm3", R"("max_window_layers":28)") == "no error");
  CHECK(message_of("qwen3_moe", R"("max_window_layers":28,"head_dim":32)") == "no error");
  CHECK(message_of("llama", R"("hidden_act":"quick_gelu")") ==
        "c: \"hidden_act\" is \"quick_gelu\"; supported are silu, gelu, gelu_new, gelu_fast, "
        "gelu_pytorch_tanh, relu");
  CHECK(message_of("gemma", R"("use_bidirectional_attention":true)") != "no error");
}

TEST_CASE("stablelm and cohere may have norms of each head, cohere2 has windows or no positions") {
  CHECK(read("stablelm").config.qk_norm == QkNorm::kNone);
  CHECK(read("stablelm", R"("qk_layernorm":true)").config.qk_norm == QkNorm::kEachHead);
  CHECK(read("cohere").config.qk_norm == QkNorm::kNone);
  CHECK(read("cohere", R"("use_qk_norm":true)").config.qk_norm == QkNorm::kEachHead);
  const ModelConfig cohere2 = read("cohere2", R"("sliding_window":64,"layer_switch":4,
      "order_of_interleaved_layers":"local_attn_first","rope_theta":50000,"rotary_pct":1.0,
      "position_embedding_type":"rope_gptj","use_parallel_block":true,"use_gated_activation":true,"logit_scale":0.25)")
                                  .config;
  CHECK(windows(cohere2) == std::vector<int32_t>{64, 64, 64, 0, 64, 64});
  CHECK(ropes(cohere2) == std::vector<int32_t>{0, 0, 0, -1, 0, 0});
  CHECK(cohere2.ropes[0].kind == RopeKind::kInterleaved);
  CHECK(cohere2.is_parallel);
  CHECK(cohere2.logit_scale == 0.25f);
  CHECK(windows(read("cohere2", R"("sliding_window_pattern":2)").config) ==
        std::vector<int32_t>{4096, 0, 4096, 0, 4096, 0});
  CHECK(message_of("cohere2", R"("use_qk_norm":true)").find("use_qk_norm") != std::string::npos);
}

TEST_CASE("hostile values are refused with their bounds") {
  CHECK(message_of("llama", R"("head_dim":1000000)") ==
        "c: \"head_dim\" is 1000000; wanted an integer from 1 to 256");
  CHECK(message_of("llama", R"("head_dim":7)") ==
        "c: 7 of a head's 7 elements are rotated (\"partial_rotary_factor\"); wanted an even "
        "number");
  const auto replaced = [](const std::string& key, const std::string& value) {
    const std::string text = R"({"model_type":"llama",")" + key + "\":" + value + "}";
    try {
      read_hf_config("c", parse_json_object("c", text));
    } catch (const FormatError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK(replaced("num_hidden_layers", "0") ==
        "c: \"num_hidden_layers\" is 0; wanted an integer from 1 to 1024");
  CHECK(replaced("num_hidden_layers", "99999999999999999999") != "no error");
  CHECK(replaced("vocab_size", "\"7\"") ==
        "c: \"vocab_size\" is \"7\"; wanted an integer from 1 to 16777216");
  CHECK(replaced("num_key_value_heads", "3") ==
        "c: 32 attention heads cannot share 3 KV heads evenly");
  CHECK(replaced("num_attention_heads", "3").starts_with("c: 3 attention heads do not divide"));
  CHECK(replaced("rope_theta", "0") ==
        "c: \"rope_theta\" is 0; wanted a number from 1.001 to "
        "1000000000000");
  CHECK(replaced("rms_norm_eps", "[]") != "no error");
  CHECK(replaced("layer_types", "3") != "no error");
}

}  // namespace
}  // namespace prefold
