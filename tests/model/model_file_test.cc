#include "model/model_file.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <limits>

#include "base/error.h"
#include "gguf_builder.h"
#include "temp_file.h"
#include "temp_folder.h"

namespace prefold {
namespace {

ModelFile open_built(const GgufBuilder& b) {
  const TempFile file(b.build());
  return open_model(file.path());  // the mapping outlives the name
}

// The message without the path it starts with.
std::string message_of(const std::string& content) {
  const TempFile file(content);
  try {
    open_model(file.path());
  } catch (const FormatError& error) {
    const std::string message = error.what();
    REQUIRE(message.starts_with(file.path() + ": "));
    return message.substr(file.path().size() + 2);
  }
  return "no error";
}

template <typename Change>
std::string message_with(Change change) {
  GgufBuilder b = tiny_llama();
  change(b);
  return message_of(b.build());
}

TEST_CASE("a model made by gguf-py opens with the configuration it was given") {
  const ModelFile model = open_model("tests/data/gguf/tiny.gguf");
  const ModelConfig& config = model.config;
  CHECK(model.format == "GGUF v3");
  CHECK(config.architecture == "llama");
  CHECK(config.name == "Tiny");
  CHECK(config.n_layers == 2);
  CHECK(config.hidden_size == 32);
  CHECK(config.n_heads == 4);
  CHECK(config.n_kv_heads == 2);
  CHECK(config.head_dim == 8);
  CHECK(config.ffn_size == 64);
  CHECK(config.vocab_size == 64);
  CHECK(config.context_length == 128);
  CHECK(config.norm_eps == 1e-5f);
  CHECK(config.tied_embeddings);
  CHECK(config.ropes[0].kind == RopeKind::kInterleaved);
  CHECK(config.ropes[0].theta == 10000.0);
  CHECK(config.ropes[0].rotary_dim == 8);
  CHECK(config.ropes[0].scaling == RopeScaling::kNone);
  CHECK(n_parameters(model) == 20640);
  REQUIRE(model.chat_format.templates.size() == 1);
  CHECK(model.chat_format.templates[0].name == "default");
  CHECK(model.chat_format.templates[0].source ==
        "{% for m in messages %}{{ m['content'] }}{% endfor %}");

  const TokenizerSpec& spec = model.tokenizer;
  CHECK(spec.model == TokenizerModel::kBpe);
  CHECK(spec.pre == "gpt-2");
  CHECK(spec.tokens.size() == 64);
  CHECK(spec.tokens[63] == "ing");
  CHECK(spec.kinds[1] == TokenKind::kControl);
  CHECK(spec.kinds[2] == TokenKind::kNormal);
  CHECK(spec.merges == std::vector<std::pair<std::string, std::string>>{{"i", "n"}, {"in", "g"}});
  CHECK(spec.bos_id == 0);
  CHECK(spec.eos_id == 1);
  CHECK(spec.eot_id == 1);  // by its spelling, <|im_end|>
  CHECK_FALSE(spec.pad_id.has_value());
  CHECK(spec.prefix_ids.empty());
  CHECK_FALSE(spec.add_space_prefix);
}

TEST_CASE("the output matrix, biases and unequal heads are taken where they are present") {
  GgufBuilder b = tiny_llama();
  b.add_tensor("output.weight", {8, 32}, TensorType::kQ4_0);
  b.add_tensor("blk.0.attn_q.bias", {64}, TensorType::kF32);
  b.add_tensor("blk.0.attn_rot_embd.weight", {4}, TensorType::kF32);  // from old converters
  b.set_u32("llama.attention.key_length", 16);
  b.set_u32("llama.rope.dimension_count", 8);
  for (const auto& [name, shape] :
       std::vector<std::pair<std::string, std::vector<uint64_t>>>{{"attn_q", {64, 32}},
                                                                  {"attn_k", {32, 32}},
                                                                  {"attn_v", {32, 32}},
                                                                  {"attn_output", {32, 64}}}) {
    b.remove_tensor("blk.0." + name + ".weight");
    b.add_tensor("blk.0." + name + ".weight", shape, TensorType::kQ8_0);
  }
  const ModelFile model = open_built(b);
  CHECK_FALSE(model.config.tied_embeddings);
  CHECK(model.config.head_dim == 16);
  CHECK(model.config.ropes[0].rotary_dim == 8);
}

TEST_CASE("RoPE scaling is read as llama.cpp reads it") {
  const auto rope_with = [](auto change) {
    GgufBuilder b = tiny_llama();
    change(b);
    return open_built(b).config.ropes[0];
  };
  RopeConfig rope = rope_with([](GgufBuilder& b) { b.set_f32("llama.rope.scale_linear", 4.0f); });
  CHECK(rope.scaling == RopeScaling::kLinear);
  CHECK(rope.factor == 4.0);
  rope = rope_with([](GgufBuilder& b) {
    b.set_string("llama.rope.scaling.type", "none");
    b.set_f32("llama.rope.scaling.factor", 4.0f);
  });
  CHECK(rope.scaling == RopeScaling::kNone);
  rope = rope_with([](GgufBuilder& b) {
    b.set_string("llama.rope.scaling.type", "yarn");
    b.set_f32("llama.rope.scaling.factor", 8.0f);
    b.set_u32("llama.rope.scaling.original_context_length", 8);
    b.set_f32("llama.rope.scaling.attn_factor", 0.5f);
    b.set_f32("llama.rope.scaling.yarn_beta_fast", 16.0f);
  });
  CHECK(rope.scaling == RopeScaling::kYarn);
  CHECK(rope.factor == 8.0);
  CHECK(rope.original_context == 8);
  CHECK(rope.attn_factor == 0.5);
  CHECK(rope.beta_fast == 16.0);
  CHECK(rope.beta_slow == 1.0);
  rope = rope_with([](GgufBuilder& b) {
    b.add_tensor("rope_freqs.weight", {4}, TensorType::kF32).bytes =
        bytes_of_value(1.0f) + bytes_of_value(1.0f) + bytes_of_value(2.5f) + bytes_of_value(8.0f);
  });
  CHECK(rope.scaling == RopeScaling::kLlama3);
  CHECK(rope.frequency_factors == std::vector<float>{1.0f, 1.0f, 2.5f, 8.0f});
}

TEST_CASE("what the tokenizer metadata leaves out is as llama.cpp has it") {
  GgufBuilder b = tiny_llama();
  b.remove("tokenizer.ggml.pre");
  b.remove("tokenizer.ggml.token_type");
  b.remove("tokenizer.ggml.eos_token_id");
  TokenizerSpec spec = open_built(b).tokenizer;
  CHECK(spec.pre == "default");
  CHECK(spec.kinds == std::vector<TokenKind>(8, TokenKind::kNormal));
  CHECK_FALSE(spec.bos_id.has_value());
  CHECK_FALSE(spec.eos_id.has_value());
  CHECK(spec.prefix_ids.empty());

  b.set_string("tokenizer.ggml.pre", "llama-bpe");
  CHECK(open_built(b).tokenizer.prefix_ids.empty());  // there is none to add
  b.set_u32("tokenizer.ggml.bos_token_id", 0);
  CHECK(open_built(b).tokenizer.prefix_ids == std::vector<int32_t>{0});

  b.set_string("tokenizer.ggml.model", "llama");
  b.remove("tokenizer.ggml.merges");
  b.remove("tokenizer.ggml.bos_token_id");
  b.set_numbers<float>("tokenizer.ggml.scores", GgufType::kFloat32, std::vector<float>(8, -1.5f));
  spec = open_built(b).tokenizer;
  CHECK(spec.model == TokenizerModel::kSentencePieceBpe);
  CHECK(spec.scores == std::vector<double>(8, -1.5));
  CHECK(spec.unknown_id == 0);
  CHECK(spec.bos_id == 1);
  CHECK(spec.eos_id == 2);
  CHECK(spec.prefix_ids == std::vector<int32_t>{1});
  CHECK(spec.suffix_ids.empty());
  CHECK(spec.add_space_prefix);
}

TEST_CASE("files that are no GGUF model are refused") {
  CHECK(message_of("{\"a\":1}") ==
        "is not a GGUF model: it begins with bytes 7b 22 61 22; wanted 47 47 55 46 (\"GGUF\")");
  CHECK(message_of("x") ==
        "is not a GGUF model: it begins with bytes 78; wanted 47 47 55 46 (\"GGUF\")");
  CHECK_THROWS_WITH_AS(open_model("tests"), "tests/config.json: there is no such file", Error);
}

TEST_CASE("a folder with a tokenizer in an older form is told how to make tokenizer.json") {
  const TempFolder folder;
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(std::filesystem::path("tests/data/models/llama3") / name,
                               std::filesystem::path(folder.path()) / name);
  }
  const auto message = [&]() -> std::string {
    try {
      open_model(folder.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  CHECK(message().find("tokenizer.json: ") != std::string::npos);
  folder.write("tokenizer.model", "x");
  CHECK(message() == folder.path() +
                         ": has tokenizer.model but no tokenizer.json, which is wanted; make it in "
                         "Python: from transformers import AutoTokenizer; "
                         "AutoTokenizer.from_pretrained(\"" +
                         folder.path() + "\").save_pretrained(\"" + folder.path() + "\")");
}

TEST_CASE("models that this forward pass cannot run are refused by name") {
  CHECK(message_with([](GgufBuilder& b) { b.set_string("general.architecture", "rwkv7"); }) ==
        "models of architecture \"rwkv7\" are not supported; supported are cohere2, command-r, "
        "gemma, "
        "gemma2, gemma3, gpt2, gptneox, granite, llama, mistral3, olmo, olmo2, olmoe, phi2, phi3, "
        "qwen2, qwen2moe, qwen3, qwen3moe, smollm3, stablelm, starcoder2");
  CHECK(message_with([](GgufBuilder& b) { b.set_f32("llama.final_logit_softcapping", 30.0f); }) ==
        "\"llama.final_logit_softcapping\" is 30; soft-capped logits in a model of this "
        "architecture: not supported");
  CHECK(message_with([](GgufBuilder& b) { b.set_string("general.type", "adapter"); }) ==
        "\"general.type\" is \"adapter\"; wanted \"model\"");
  CHECK(message_with([](GgufBuilder& b) { b.set_string("llama.rope.scaling.type", "longrope"); }) ==
        "tensor \"rope_factors_short.weight\", which longrope needs, is missing");
  CHECK(message_with([](GgufBuilder& b) { b.set_string("llama.rope.scaling.type", "su"); }) ==
        "\"llama.rope.scaling.type\" is \"su\"; supported are \"none\", \"linear\", \"yarn\" and "
        "\"longrope\"");
  CHECK(message_with([](GgufBuilder& b) { b.set_string("tokenizer.ggml.model", "t5"); }) ==
        "\"tokenizer.ggml.model\" is \"t5\"; supported are \"gpt2\" (byte-level BPE) and \"llama\" "
        "(SentencePiece)");
  CHECK(message_with([](GgufBuilder& b) {
          b.add_tensor("blk.0.attn_q_norm.weight", {8}, TensorType::kF32);
        }) == "1 tensor with no place in a llama model: blk.0.attn_q_norm.weight");
}

TEST_CASE("configuration values out of bounds are refused with the bounds") {
  CHECK(message_with([](GgufBuilder& b) { b.set_u32("llama.block_count", 0); }) ==
        "\"llama.block_count\" is 0; wanted an integer from 1 to 1024");
  CHECK(message_with([](GgufBuilder& b) { b.remove("llama.context_length"); }) ==
        "\"llama.context_length\" is missing; wanted an integer from 1 to 67108864");
  CHECK(message_with([](GgufBuilder& b) { b.set_string("llama.embedding_length", "32"); }) ==
        "\"llama.embedding_length\" is of type string; wanted an integer from 1 to 131072");
  CHECK(message_with([](GgufBuilder& b) { b.set_u32("llama.attention.head_count_kv", 3); }) ==
        "4 attention heads cannot share 3 KV heads evenly");
  CHECK(message_with([](GgufBuilder& b) { b.set_u32("llama.attention.key_length", 7); }) ==
        "attention heads have 7 elements; wanted an even number up to 256");
  CHECK(message_with([](GgufBuilder& b) {
          b.set_f32("llama.attention.layer_norm_rms_epsilon",
                    std::numeric_limits<float>::quiet_NaN());
        }) == "\"llama.attention.layer_norm_rms_epsilon\" is nan; wanted a number from 0 to 1");
  CHECK(message_with([](GgufBuilder& b) { b.set_f32("llama.rope.freq_base", 0.0f); }) ==
        "\"llama.rope.freq_base\" is 0; wanted a number from 1.001 to 1000000000000");
  CHECK(message_with([](GgufBuilder& b) { b.set_u32("tokenizer.ggml.eos_token_id", 8); }) ==
        "\"tokenizer.ggml.eos_token_id\" is 8; wanted an integer from 0 to 7");
}

TEST_CASE("tensors that do not fit the configuration are refused with both shapes") {
  CHECK(message_with([](GgufBuilder& b) { b.set_u32("llama.block_count", 2); }) ==
        "tensor \"blk.1.attn_norm.weight\" of shape (32) is missing");
  CHECK(message_with([](GgufBuilder& b) { b.remove_tensor("token_embd.weight"); }) ==
        "tensor \"token_embd.weight\" is missing");
  CHECK(message_with([](GgufBuilder& b) { b.set_u32("llama.feed_forward_length", 96); }) ==
        "tensor \"blk.0.ffn_gate.weight\" has shape (64, 32); wanted (96, 32)");
  CHECK(message_with([](GgufBuilder& b) {
          b.remove_tensor("output_norm.weight");
          b.add_tensor("output_norm.weight", {32}, TensorType::kQ8_0);
        }) == "tensor \"output_norm.weight\" is of type Q8_0; wanted F32, F16 or BF16");
}

TEST_CASE("tokenizer metadata that contradicts itself is refused") {
  CHECK(message_with([](GgufBuilder& b) { b.set_strings("tokenizer.ggml.tokens", {"a"}); }) ==
        "\"tokenizer.ggml.tokens\" has 1 elements; the embedding has 8 rows");
  CHECK(message_with([](GgufBuilder& b) { b.set_bool("tokenizer.ggml.add_bos_token", true); }) ==
        "\"tokenizer.ggml.add_bos_token\" is true but \"tokenizer.ggml.bos_token_id\" is missing");
  CHECK(message_with([](GgufBuilder& b) {
          b.set_numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32,
                                 {1, 1, 1, 7, 1, 1, 1, 1});
        }) == "\"tokenizer.ggml.token_type\" of token 3 is 7; wanted 0 to 6");
  CHECK(message_with([](GgufBuilder& b) {
          b.set_numbers<float>("tokenizer.ggml.tokens", GgufType::kFloat32, {1.0f});
        }) == "\"tokenizer.ggml.tokens\" is an array of f32; wanted an array of string");
  CHECK(message_with([](GgufBuilder& b) { b.remove("tokenizer.ggml.merges"); }) ==
        "\"tokenizer.ggml.merges\" is missing");
}

}  // namespace
}  // namespace prefold
