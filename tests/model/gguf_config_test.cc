#include "model/gguf_config.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "gguf_builder.h"
#include "model/gguf_tensors.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

// Six layers, hidden size 32, 4 heads over 2 KV heads; no tensor but the embedding unless `change`
// adds some.
struct Read {
  ModelConfig config;
  std::vector<StoredTensor> tensors;
};
Read read(const std::string& architecture, const std::function<void(GgufBuilder&)>& change) {
  GgufBuilder b;
  b.set_string("general.architecture", architecture);
  const auto key = [&](const std::string& name) { return architecture + "." + name; };
  b.set_u32(key("block_count"), 6);
  b.set_u32(key("context_length"), 64);
  b.set_u32(key("embedding_length"), 32);
  b.set_u32(key("feed_forward_length"), 64);
  b.set_u32(key("attention.head_count"), 4);
  b.set_u32(key("attention.head_count_kv"), 2);
  b.set_f32(key("attention.layer_norm_rms_epsilon"), 1e-6f);
  b.set_f32(key("attention.layer_norm_epsilon"), 1e-5f);
  b.add_tensor("token_embd.weight", {8, 32}, TensorType::kF32);
  change(b);
  const std::string content = b.build();
  Gguf gguf = parse_gguf("f", std::as_bytes(std::span(content)));
  Read result;
  result.config = read_gguf_config({"f", &gguf.metadata}, gguf.tensors);
  result.tensors = cut_gguf_tensors("f", result.config, std::move(gguf.tensors));
  return result;
}
ModelConfig config_of(
    const std::string& architecture,
    const std::function<void(GgufBuilder&)>& change = [](GgufBuilder&) {}) {
  return read(architecture, change).config;
}

std::vector<int32_t> windows(const ModelConfig& config) {
  std::vector<int32_t> result;
  for (const LayerConfig& layer : config.layers) result.push_back(layer.window);
  return result;
}

TEST_CASE("each architecture has its pairs of rotated elements and its norms") {
  for (const char* name : {"llama", "granite", "smollm3", "olmo", "command-r", "mistral3"}) {
    CAPTURE(name);
    CHECK(config_of(name).ropes.at(0).kind == RopeKind::kInterleaved);
  }
  for (const char* name : {"qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi2", "phi3", "olmo2",
                           "gptneox", "starcoder2", "stablelm"}) {
    CAPTURE(name);
    CHECK(config_of(name).ropes.at(0).kind == RopeKind::kHalf);
  }
  for (const char* name :
       {"gpt2", "gptneox", "phi2", "olmo", "starcoder2", "stablelm", "command-r"}) {
    CAPTURE(name);
    const ModelConfig config = config_of(name);
    CHECK(config.norm_kind == NormKind::kLayer);
    CHECK(config.norm_eps == 1e-5f);
  }
  CHECK(config_of("qwen2").norm_eps == 1e-6f);
  CHECK(config_of("gpt2").ropes.empty());
  CHECK(config_of("gpt2").has_position_embedding);
  CHECK(config_of("gpt2").layers[0].rope_idx == -1);
}

TEST_CASE("features that an architecture's name stands for") {
  const ModelConfig gemma3 = config_of("gemma3", [](GgufBuilder& b) {
    b.set_u32("gemma3.attention.sliding_window", 16);
    b.set_f32("gemma3.rope.freq_base", 1e6f);
    b.set_string("gemma3.rope.scaling.type", "linear");
    b.set_f32("gemma3.rope.scaling.factor", 8.0f);
  });
  CHECK(windows(gemma3) == std::vector<int32_t>{16, 16, 16, 16, 16, 0});
  CHECK(gemma3.layers[0].rope_idx == 1);
  CHECK(gemma3.layers[5].rope_idx == 0);
  CHECK(gemma3.ropes[0].theta == 1e6);
  CHECK(gemma3.ropes[0].scaling == RopeScaling::kLinear);
  CHECK(gemma3.ropes[1].theta == 1e4);
  CHECK(gemma3.ropes[1].scaling == RopeScaling::kNone);
  CHECK(gemma3.embedding_scale == std::sqrt(32.0f));
  const ModelConfig by_flags = config_of("gemma3", [](GgufBuilder& b) {
    b.set_u32("gemma3.attention.sliding_window", 16);
    b.set_array("gemma3.attention.sliding_window_pattern", GgufType::kBool, 6,
                std::string("\1\0\0\1\1\0", 6));
  });
  CHECK(windows(by_flags) == std::vector<int32_t>{16, 0, 0, 16, 16, 0});
  CHECK(by_flags.layers[1].rope_idx == 0);
  CHECK_THROWS_AS(config_of("gemma3",
                            [](GgufBuilder& b) {
                              b.set_array("gemma3.attention.sliding_window_pattern",
                                          GgufType::kBool, 2, std::string("\1\0", 2));
                            }),
                  FormatError);
  const ModelConfig gemma2 = config_of("gemma2");
  CHECK(windows(gemma2) == std::vector<int32_t>{4096, 0, 4096, 0, 4096, 0});
  CHECK(gemma2.attention_softcap == 50.0f);
  CHECK(gemma2.has_post_norm);
  const ModelConfig granite = config_of("granite", [](GgufBuilder& b) {
    b.set_f32("granite.attention.scale", 0.015625f);
    b.set_f32("granite.logit_scale", 8.0f);
    b.set_f32("granite.residual_scale", 0.25f);
  });
  CHECK(granite.attention_scale == 0.015625f);
  CHECK(granite.logit_scale == 0.125f);
  CHECK(granite.residual_scale == 0.25f);
  CHECK(granite.embedding_scale == 1.0f);
  CHECK(config_of("command-r", [](GgufBuilder& b) {
          b.set_f32("command-r.logit_scale", 0.0625f);
        }).logit_scale == 0.0625f);
  const ModelConfig olmo2 = config_of("olmo2");
  CHECK_FALSE(olmo2.has_pre_norm);
  CHECK(olmo2.qk_norm == QkNorm::kRow);
  CHECK(config_of("smollm3").layers[3].rope_idx == -1);
  CHECK(config_of("gptneox").has_parallel_norm);
  CHECK_FALSE(config_of("gptneox", [](GgufBuilder& b) {
                b.set_bool("gptneox.use_parallel_residual", false);
              }).is_parallel);
  CHECK(config_of("stablelm").is_parallel);  // it has no second norm
  const ModelConfig cohere2 = config_of(
      "cohere2", [](GgufBuilder& b) { b.set_u32("cohere2.attention.sliding_window", 16); });
  CHECK(windows(cohere2) == std::vector<int32_t>{16, 16, 16, 0, 16, 16});
  CHECK(cohere2.layers[0].rope_idx == 0);
  CHECK(cohere2.layers[3].rope_idx == -1);
  CHECK(cohere2.is_parallel);
  CHECK_THROWS_AS(config_of("cohere2"), FormatError);
}

TEST_CASE("norms of each head are told by their tensors, and are floats") {
  for (const char* name : {"stablelm", "command-r"}) {
    CAPTURE(name);
    CHECK(config_of(name).qk_norm == QkNorm::kNone);
    const auto message_of = [&](const std::vector<uint64_t>& shape,
                                TensorType type) -> std::string {
      const Read model = read(name, [&](GgufBuilder& b) {
        b.add_tensor("blk.0.attn_q_norm.weight", shape, TensorType::kF32);
      });
      CHECK(model.config.qk_norm == QkNorm::kEachHead);
      std::vector<StoredTensor> tensors;
      for_each_wanted(model.config, [&](const WantedTensor& wanted) {
        const StoredTensor* stored = find_tensor(model.tensors, wanted.name);
        tensors.push_back(stored != nullptr ? *stored : StoredTensor());
        tensors.back().name = wanted.name;
        if (stored == nullptr) tensors.back().shape = wanted.shape;
        if (wanted.name == "blk.0.attn_q_norm.weight") tensors.back().type = type;
      });
      try {
        check_model_tensors("f", model.config, tensors);
      } catch (const FormatError& error) {
        return error.what();
      }
      return "no error";
    };
    CHECK(message_of({4, 8}, TensorType::kF32) == "no error");
    CHECK(message_of({8}, TensorType::kF32) ==
          "f: tensor \"blk.0.attn_q_norm.weight\" has shape (8); wanted (4, 8)");
    CHECK(message_of({4, 8}, TensorType::kQ8_0) ==
          "f: tensor \"blk.0.attn_q_norm.weight\" is of type Q8_0; wanted F32, F16 or BF16");
  }
}

TEST_CASE("fused tensors are cut apart, experts too, and shapes that do not fit are refused") {
  const Read phi3 = read("phi3", [](GgufBuilder& b) {
    b.add_tensor("blk.2.attn_qkv.weight", {64, 32}, TensorType::kQ4_0);
    b.add_tensor("blk.2.ffn_up.weight", {128, 32}, TensorType::kQ8_0);
  });
  const auto tensor = [&](const Read& from, const std::string& name) {
    const StoredTensor* found = find_tensor(from.tensors, name);
    REQUIRE_MESSAGE(found != nullptr, name);
    return *found;
  };
  const StoredTensor q = tensor(phi3, "blk.2.attn_q.weight");
  const StoredTensor v = tensor(phi3, "blk.2.attn_v.weight");
  CHECK(q.shape == std::vector<int64_t>{32, 32});
  CHECK(q.n_bytes == 32 * 18);
  CHECK(v.shape == std::vector<int64_t>{16, 32});
  CHECK(v.offset == q.offset + 48 * 18);
  CHECK(tensor(phi3, "blk.2.ffn_up.weight").offset ==
        tensor(phi3, "blk.2.ffn_gate.weight").offset + 64 * 34);
  const auto add_experts = [](GgufBuilder& b) {
    b.set_u32("llama.expert_count", 4);
    b.set_u32("llama.expert_used_count", 2);
    b.add_tensor("blk.0.ffn_down_exps.weight", {4, 32, 64}, TensorType::kQ4_1);
  };
  const Read mixtral = read("llama", add_experts);
  CHECK(mixtral.config.moe.normalise_weights);
  CHECK(mixtral.config.layers[5].is_moe);
  const StoredTensor second = tensor(mixtral, "blk.0.ffn_down.1.weight");
  CHECK(second.shape == std::vector<int64_t>{32, 64});
  CHECK(second.offset == tensor(mixtral, "blk.0.ffn_down.0.weight").offset + 32 * 40);
  CHECK(second.n_bytes == 32 * 40);
  CHECK_THROWS_WITH_AS(
      read("llama",
           [&](GgufBuilder& b) {
             add_experts(b);
             b.set_u32("llama.expert_count", 5);
           }),
      "f: tensor \"blk.0.ffn_down_exps.weight\" has shape (4, 32, 64); wanted (5, ..., ...)",
      FormatError);
  CHECK_THROWS_WITH_AS(read("phi3",
                            [](GgufBuilder& b) {
                              b.add_tensor("blk.2.attn_qkv.weight", {60, 32}, TensorType::kQ4_0);
                            }),
                       "f: tensor \"blk.2.attn_qkv.weight\" has shape (60, 32); wanted 64 outputs",
                       FormatError);
  CHECK_THROWS_WITH_AS(read("llama",
                            [&](GgufBuilder& b) {
                              add_experts(b);
                              b.set_u32("llama.expert_used_count", 7);
                            }),
                       "f: a row takes 7 of 4 experts; wanted from 1 to 4", FormatError);
}

TEST_CASE("features in an architecture that does not have them are refused") {
  for (const char* key : {"attention.sliding_window", "attn_logit_softcapping", "embedding_scale",
                          "attention.temperature_scale", "expert_count"}) {
    CAPTURE(key);
    CHECK_THROWS_AS(
        config_of("qwen2", [&](GgufBuilder& b) { b.set_u32("qwen2." + std::string(key), 7); }),
        FormatError);
  }
}

}  // namespace
}  // namespace prefold
