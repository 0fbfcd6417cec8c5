// Adapter files: what they change, by how much, and that no file is taken for what it is not.
#include "model/lora.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "gguf_builder.h"
#include "model/load_adapters.h"
#include "model/model_file.h"
#include "safetensors_builder.h"
#include "temp_file.h"
#include "temp_folder.h"

namespace prefold {
namespace {

using Json = nlohmann::json;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// hidden 64, 4 heads of 16 over 2 KV heads, ffn 96, two layers.
const ModelFile& llama() {
  static const ModelFile model = open_model("tests/data/models/llama3");
  return model;
}

BuiltTensor counting(const std::string& name, std::vector<int64_t> shape) {
  std::vector<float> values(static_cast<size_t>(shape.at(0) * shape.at(1)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return {name, "F32", std::move(shape), bytes_of_values(values)};
}

// A PEFT folder that changes what `targets` names in all layers; rank 2, alpha 3.
struct Peft {
  Json config = {{"peft_type", "LORA"}, {"r", 2},        {"lora_alpha", 3},
                 {"bias", "none"},      {"r_unused", 0}, {"target_modules", {"q_proj"}}};
  std::vector<BuiltTensor> tensors;

  Peft() {
    add("model.layers.0.self_attn.q_proj", 64, 64);
    add("model.layers.1.self_attn.q_proj", 64, 64);
  }
  void add(const std::string& module, int64_t n_out, int64_t n_in, int64_t rank = 2) {
    const std::string name = "base_model.model." + module;
    tensors.push_back(counting(name + ".lora_A.weight", {rank, n_in}));
    tensors.push_back(counting(name + ".lora_B.weight", {n_out, rank}));
  }
  LoraFile open(const ModelFile& model = llama()) const {
    const TempFolder folder;
    folder.write("adapter_config.json", config.dump());
    folder.write("adapter_model.safetensors", build_safetensors(tensors));
    return open_lora(folder.path(), model);
  }
  // Without the folder's path.
  std::string error(const ModelFile& model = llama()) const {
    try {
      open(model);
    } catch (const FormatError& error) {
      const std::string message = error.what();
      const size_t at = message.find("adapter_");
      return at == std::string::npos ? message : message.substr(at);
    }
    return "no error";
  }
};

const LoraMatrix& find(const LoraFile& file, int32_t layer, LoraSite site) {
  const auto found =
      std::find_if(file.matrices.begin(), file.matrices.end(),
                   [&](const LoraMatrix& it) { return it.layer == layer && it.site == site; });
  REQUIRE(found != file.matrices.end());
  return *found;
}

TEST_CASE("PEFT's settings give each module its rank and scale") {
  Peft peft;
  peft.config["target_modules"] = "model\\.layers\\.\\d+\\.(self_attn\\.q_proj|mlp\\.down_proj)";
  peft.config["use_rslora"] = true;
  peft.config["rank_pattern"] = {{"down_proj", 4}};
  peft.config["alpha_pattern"] = {{"layers.1.self_attn.q_proj", 5}, {"^model.layers.1.mlp.*", 7}};
  peft.add("model.layers.0.mlp.down_proj", 64, 96, 4);
  peft.add("model.layers.1.mlp.down_proj", 64, 96, 4);
  const LoraFile file = peft.open();
  CHECK(file.matrices.size() == 4);
  CHECK(find(file, 0, LoraSite::kQ).scale == static_cast<float>(3 / std::sqrt(2.0)));
  CHECK(find(file, 1, LoraSite::kQ).scale == static_cast<float>(5 / std::sqrt(2.0)));
  CHECK(find(file, 0, LoraSite::kDown).scale == 1.5f);
  CHECK(find(file, 1, LoraSite::kDown).scale == 3.5f);
  CHECK(find(file, 1, LoraSite::kDown).rank == 4);
}

TEST_CASE("fused projections are cut, and rows of heads put into the model's order") {
  ThreadPool pool(1);
  const auto b_of = [&](const LoraFile& file, const ModelFile& model, LoraSite site) {
    return read_lora(file, find(file, 0, site), model.config, pool);
  };
  Peft peft;
  peft.config["lora_alpha"] = 2;
  const LoraFile plain = peft.open();
  const LoraValues q = b_of(plain, llama(), LoraSite::kQ);
  REQUIRE(q.b.size() == 128);
  CHECK((q.a[0] == 0.0f && q.a[65] == 65.0f && q.b[2 * 9] == 18.0f && q.b[2 * 9 + 1] == 19.0f));

  // A GGUF llama has the two of a rotary pair side by side: rows 0, 8, 1, 9, ... of each head.
  const ModelFile gguf = open_model("tests/data/models/gguf/llama3.gguf");
  const LoraFile pairs = peft.open(gguf);
  const LoraValues turned = b_of(pairs, gguf, LoraSite::kQ);
  for (const auto& [row, stored] :
       {std::pair(0, 0), {1, 8}, {2, 1}, {17, 24}, {63, 63}, {62, 55}}) {
    CHECK(turned.b[2 * static_cast<size_t>(row)] == static_cast<float>(2 * stored));
  }

  const ModelFile neox = open_model("tests/data/models/gpt_neox");  // 4 heads of 16
  Peft by_head;
  by_head.config["target_modules"] = {"query_key_value"};
  by_head.config["lora_alpha"] = 2;
  by_head.tensors.clear();
  by_head.add("gpt_neox.layers.0.attention.query_key_value", 192, 64);
  by_head.add("gpt_neox.layers.1.attention.query_key_value", 192, 64);
  const LoraFile heads = by_head.open(neox);
  CHECK(heads.matrices.size() == 6);
  const LoraValues k = b_of(heads, neox, LoraSite::kK);
  CHECK(k.b.size() == 128);
  CHECK(k.b[0] == 2.0f * 16);              // of head 0: rows 16 to 31
  CHECK(k.b[2 * 16] == 2.0f * (48 + 16));  // of head 1
  CHECK(b_of(heads, neox, LoraSite::kV).b[2 * 63] == 2.0f * 191);
}

TEST_CASE("scales of what is added to the residual stream are in B") {
  const ModelFile granite = open_model("tests/data/models/granite");
  Peft peft;
  peft.config["target_modules"] = {"q_proj", "o_proj"};
  for (const char* layer : {"0", "1"}) {
    peft.add(std::string("model.layers.") + layer + ".self_attn.o_proj", 64, 64);
  }
  const LoraFile file = peft.open(granite);
  CHECK(find(file, 0, LoraSite::kQ).scale == 1.5f);
  CHECK(find(file, 0, LoraSite::kO).scale ==
        static_cast<float>(1.5 * double{granite.config.residual_scale}));
}

TEST_CASE("what PEFT would do otherwise than A and B do is refused by its key") {
  const auto with = [](const std::string& key, const Json& value) {
    Peft peft;
    peft.config[key] = value;
    return peft.error();
  };
  CHECK(Peft().error() == "no error");
  CHECK(with("peft_type", "IA3") ==
        "adapter_config.json: \"peft_type\" is \"IA3\"; wanted \"LORA\"");
  CHECK(with("use_dora", true) == "adapter_config.json: \"use_dora\" is true; not supported");
  CHECK(with("lora_bias", true) == "adapter_config.json: \"lora_bias\" is true; not supported");
  CHECK(with("modules_to_save", {"lm_head"}) ==
        "adapter_config.json: \"modules_to_save\" is [\"lm_head\"]; not supported");
  CHECK(with("trainable_token_indices", {1}) ==
        "adapter_config.json: \"trainable_token_indices\" is [1]; not supported");
  CHECK(with("something_new", 0.5) ==
        "adapter_config.json: \"something_new\" is 0.5; not supported");
  CHECK(with("bias", "all").find("adapters of biases are not supported") != std::string::npos);
  CHECK(with("init_lora_weights", "pissa").find("change the model's own") != std::string::npos);
  CHECK(with("r", 100000).find("\"r\" is 100000; wanted an integer from 1 to 1024") !=
        std::string::npos);
  CHECK(with("r", nullptr) == "adapter_config.json: \"r\" is null; wanted the rank");
  CHECK(with("lora_alpha", "x").find("wanted a number") != std::string::npos);
  CHECK(with("target_modules", "(").find("cannot be compiled") != std::string::npos);
  CHECK(with("target_modules", 4).find("wanted a string or an array of strings") !=
        std::string::npos);
  CHECK(with("target_modules", nullptr).find("wanted names of modules") != std::string::npos);
  CHECK(with("rank_pattern", {{"q_proj", 0}}).find("\"rank_pattern.q_proj\" is 0") !=
        std::string::npos);
  CHECK(with("layers_to_transform", {0, "1"}).find("wanted numbers of layers") !=
        std::string::npos);
  CHECK(with("rank_pattern", {{"q_proj", 2}, {"self_attn.q_proj", 3}}).find("says") !=
        std::string::npos);
}

TEST_CASE("tensors that the configuration does not name, or that it misses, are refused") {
  Peft extra;
  extra.config["target_modules"] = {"v_proj"};
  CHECK(extra.error() ==
        "adapter_model.safetensors: \"model.layers.0.self_attn.q_proj\" is not among the modules "
        "that adapter_config.json names");
  Peft missing;
  missing.tensors.resize(2);
  CHECK(missing.error() ==
        "adapter_model.safetensors: \"model.layers.1.self_attn.q_proj\" is named by "
        "adapter_config.json, but its tensors are missing");
  missing.config["layers_to_transform"] = 0;
  CHECK(missing.error() == "no error");
  missing.config["layers_to_transform"] = nullptr;
  missing.config["exclude_modules"] = "model\\.layers\\.1\\..*";
  CHECK(missing.error() == "no error");
  Peft half;
  half.tensors.pop_back();
  CHECK(half.error().find("has no \"lora_B.weight\"") != std::string::npos);
  Peft rank;
  rank.config["rank_pattern"] = {{"layers.1.self_attn.q_proj", 3}};
  CHECK(rank.error().find("has rank 2; adapter_config.json says 3") != std::string::npos);
}

TEST_CASE("names of modules without any tensors are told, and change nothing") {
  Peft peft;
  CHECK(peft.open().absent_targets.empty());
  peft.config["target_modules"] = {"q_proj", "up_proj", "layers.0.self_attn.q_proj", "_proj",
                                   "query_key_value"};
  const LoraFile file = peft.open();
  CHECK(file.absent_targets == std::vector<std::string>{"up_proj", "_proj", "query_key_value"});
  CHECK(file.matrices.size() == 2);
  peft.config["target_modules"] = ".*q_proj";
  CHECK(peft.open().absent_targets.empty());
  peft.config["target_modules"] = "all-linear";
  CHECK(peft.open().absent_targets.empty());
}

TEST_CASE("an adapter of what the model has not is refused") {
  const auto with = [](const std::string& module, int64_t n_out, int64_t n_in) {
    Peft peft;
    peft.config["target_modules"] = "all-linear";
    peft.add(module, n_out, n_in);
    return peft.error();
  };
  CHECK(with("model.layers.0.self_attn.k_proj", 64, 64).find("wanted (2, 64) and (32, 2)") !=
        std::string::npos);
  CHECK(with("model.layers.2.self_attn.k_proj", 32, 64).find("has no place in a llama model") !=
        std::string::npos);
  CHECK(with("model.layers.0.mlp.experts.3.up_proj", 96, 64).find("experts") != std::string::npos);
  CHECK(with("lm_head", 288, 64).find("the LM head, of which adapters") != std::string::npos);
  CHECK(with("model.layers.0.input_layernorm", 64, 64).find("adapters are not supported for") !=
        std::string::npos);
  CHECK(with("../../etc/passwd", 64, 64).find("has no place") != std::string::npos);
  CHECK(with("model.layers.0.self_attn.qkv_proj", 128, 64).find("once more") != std::string::npos);
  Peft embedding;
  embedding.tensors.push_back(
      counting("base_model.model.model.embed_tokens.lora_embedding_A", {2, 288}));
  CHECK(embedding.error().find("is neither a \"lora_A.weight\"") != std::string::npos);
  Peft dora;
  dora.tensors.push_back(
      counting("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", {64, 1}));
  CHECK(dora.error().find("is neither a \"lora_A.weight\"") != std::string::npos);
  Peft typed;
  typed.tensors[0].type = "I32";
  CHECK(typed.error().find("is of type I32; wanted F32, F16 or BF16") != std::string::npos);
}

TEST_CASE("experts have no adapters, attention beside them has") {
  const ModelFile moe = open_model("tests/data/models/qwen3_moe");
  const LoraShape q = lora_shape(moe.config, 0, LoraSite::kQ);
  CHECK(lora_shape(moe.config, 0, LoraSite::kUp).n_out == 0);
  Peft peft;
  peft.config["target_modules"] = "all-linear";
  peft.tensors.clear();
  for (int32_t layer = 0; layer < moe.config.n_layers; ++layer) {
    peft.add("model.layers." + std::to_string(layer) + ".self_attn.q_proj", q.n_out, q.n_in);
  }
  CHECK(peft.error(moe) == "no error");
  peft.add("model.layers.0.mlp.gate", 5, q.n_in);
  CHECK(peft.error(moe).find("adapters are not supported for") != std::string::npos);
}

TEST_CASE("a folder without weights, or with pickled ones, is refused") {
  const TempFolder folder;
  const auto error = [&] {
    try {
      open_lora(folder.path(), llama());
    } catch (const Error& thrown) {
      return std::string(thrown.what()).substr(folder.path().size());
    }
    return std::string("no error");
  };
  CHECK(error() == "/adapter_config.json: there is no such file");
  folder.write("adapter_config.json", Peft().config.dump());
  CHECK(error().starts_with("/adapter_model.safetensors"));
  folder.write("adapter_model.bin", "PK");
  CHECK(error().find("wanted adapter_model.safetensors") != std::string::npos);
  folder.write("adapter_model.safetensors", build_safetensors({}));
  CHECK(error().find("has no tensors") != std::string::npos);
}

GgufBuilder built_gguf() {
  GgufBuilder b;
  b.set_string("general.architecture", "llama");
  b.set_string("general.type", "adapter");
  b.set_string("adapter.type", "lora");
  b.set_f32("adapter.lora.alpha", 3.0f);
  b.add_tensor("blk.0.attn_q.weight.lora_a", {2, 64}, TensorType::kQ8_0);
  b.add_tensor("blk.0.attn_q.weight.lora_b", {64, 2}, TensorType::kF16);
  return b;
}

std::string gguf_error(const GgufBuilder& b) {
  const TempFile file(b.build());
  try {
    open_lora(file.path(), llama());
  } catch (const FormatError& error) {
    return std::string(error.what()).substr(file.path().size() + 2);
  }
  return "no error";
}

template <typename Change>
std::string gguf_error_with(Change change) {
  GgufBuilder b = built_gguf();
  change(b);
  return gguf_error(b);
}

TEST_CASE("GGUF adapters that are none, or not of this model, are refused") {
  using B = GgufBuilder;
  CHECK(gguf_error(built_gguf()) == "no error");
  CHECK(gguf_error_with([](B& b) { b.set_string("general.type", "model"); }) ==
        "\"general.type\" is \"model\"; wanted \"adapter\"");
  CHECK(gguf_error_with([](B& b) { b.remove("adapter.type"); }) ==
        "\"adapter.type\" is missing; wanted \"lora\"");
  CHECK(gguf_error_with([](B& b) { b.remove("adapter.lora.alpha"); }) ==
        "\"adapter.lora.alpha\" is missing");
  CHECK(gguf_error_with([](B& b) {
          b.set_string("general.architecture", "qwen2");
        }).find("of architecture \"qwen2\"") != std::string::npos);
  CHECK(gguf_error_with([](B& b) {
          b.set_numbers<uint32_t>("adapter.alora.invocation_tokens", GgufType::kUint32, {1});
        }).find("certain tokens") != std::string::npos);
  CHECK(gguf_error_with([](B& b) { b.remove_tensor("blk.0.attn_q.weight.lora_b"); }) ==
        "\"blk.0.attn_q.weight\" has no \".lora_b\"");
  CHECK(gguf_error_with([](B& b) { b.add_tensor("x.weight", {2}, TensorType::kF32); }) ==
        "tensor \"x.weight\" is neither a \".lora_a\" nor a \".lora_b\"");
  const auto with_pair = [](const std::string& name, uint64_t n_out, uint64_t n_in, uint64_t rank) {
    return gguf_error_with([&](B& b) {
      b.add_tensor(name + ".lora_a", {rank, n_in}, TensorType::kF32);
      b.add_tensor(name + ".lora_b", {n_out, rank}, TensorType::kF32);
    });
  };
  CHECK(with_pair("blk.1.attn_q.weight", 64, 64, 1025) ==
        "\"blk.1.attn_q.weight\" has rank 1025; wanted 1 to 1024");
  CHECK(with_pair("blk.2.attn_q.weight", 64, 64, 2).find("has no place") != std::string::npos);
  CHECK(with_pair("blk.1.ffn_up_exps.weight", 96, 64, 2).find("experts") != std::string::npos);
  CHECK(with_pair("token_embd.weight", 288, 64, 2).find("embeddings") != std::string::npos);
  CHECK(with_pair("blk.1.ffn_up.weight", 97, 64, 2).find("wanted (2, 64) and (96, 2)") !=
        std::string::npos);
  CHECK(with_pair("blk.1.ffn_up.weight", 192, 64, 2) == "no error");  // gate and up in one
}

// Opening and loading ends in an adapter or in an Error.
void try_load(const std::string& path) {
  ThreadPool pool(1);
  try {
    const LoraFile file = open_lora(path, llama());
    for (const LoraMatrix& matrix : file.matrices) read_lora(file, matrix, llama().config, pool);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).size() < 2000);
  }
}

TEST_CASE("damaged adapters end in an error") {
  std::mt19937 rng(1);
  const std::string gguf = read_file("tests/data/lora/llama3-a-q8.gguf");
  const std::string tensors = read_file("tests/data/lora/llama3-b/adapter_model.safetensors");
  const std::string config = read_file("tests/data/lora/llama3-b/adapter_config.json");
  const auto damaged = [&](std::string content, size_t n_header) {
    const size_t at = rng() % n_header;
    if (rng() % 4 == 0) return content.substr(0, at);
    content[at] = static_cast<char>(rng());
    return content;
  };
  const TempFolder folder;
  for (int round = 0; round < 400; ++round) {
    const TempFile file(damaged(gguf, 3000));
    try_load(file.path());
    folder.write("adapter_config.json", round % 2 == 0 ? config : damaged(config, config.size()));
    folder.write("adapter_model.safetensors", round % 2 == 0 ? damaged(tensors, 900) : tensors);
    try_load(folder.path());
  }
}

}  // namespace
}  // namespace prefold
