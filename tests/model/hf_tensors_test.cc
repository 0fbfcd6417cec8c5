#include "model/hf_tensors.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/half.h"
#include "kernels/reference/dequantize.h"
#include "model/model_file.h"
#include "model/model_tensors.h"
#include "safetensors_builder.h"
#include "temp_file.h"

namespace prefold {
namespace {

// A safetensors file that is a model's only one.
struct OpenedFile {
  explicit OpenedFile(const std::vector<BuiltTensor>& tensors)
      : OpenedFile(build_safetensors(tensors)) {}
  explicit OpenedFile(const std::string& content) {
    const TempFile file(content);
    model.files.emplace_back(file.path());
    files.push_back({&model.files[0], parse_safetensors("f", model.files[0].bytes())});
  }
  ModelFile model;
  std::vector<HfFile> files;
};

BuiltTensor counting(const std::string& name, std::vector<int64_t> shape, float first = 0.0f) {
  std::vector<float> values(static_cast<size_t>(
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())));
  std::iota(values.begin(), values.end(), first);
  return {name, "F32", std::move(shape), bytes_of_values(values)};
}

HfModel small_model(HfNames names = HfNames::kLlama) {
  HfModel model;
  model.names = names;
  ModelConfig& config = model.config;
  config.architecture = "test";
  config.n_layers = 2;
  config.hidden_size = 2;
  config.n_heads = 2;
  config.n_kv_heads = 1;
  config.head_dim = 2;
  config.ffn_size = 3;
  config.layers.resize(2);
  return model;
}

std::vector<float> values_of(const OpenedFile& file, const std::vector<StoredTensor>& tensors,
                             const std::string& name, std::vector<int64_t> shape) {
  const StoredTensor* tensor = find_tensor(tensors, name);
  REQUIRE_MESSAGE(tensor != nullptr, name);
  CHECK(tensor->shape == shape);
  return read_floats(file.model, *tensor);
}

std::string message_of(const HfModel& model, const std::vector<BuiltTensor>& tensors) {
  const OpenedFile file(tensors);
  try {
    read_hf_tensors("m", model, {}, file.files);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

using Floats = std::vector<float>;

TEST_CASE("tensors are renamed, with or without what models put before their names") {
  for (const std::string prefix :
       {"model.", "", "language_model.model.", "model.language_model."}) {
    CAPTURE(prefix);
    const OpenedFile file({counting(prefix + "embed_tokens.weight", {1, 2}),
                           counting(prefix + "layers.1.self_attn.q_proj.weight", {4, 2}),
                           counting(prefix + "layers.1.self_attn.q_proj.bias", {4}),
                           counting(prefix + "layers.0.post_attention_layernorm.weight", {2}),
                           counting(prefix + "layers.0.self_attn.rotary_emb.inv_freq", {2}),
                           counting("lm_head.weight", {1, 2}, 5)});
    const auto tensors = read_hf_tensors("m", small_model(), {}, file.files);
    CHECK(tensors.size() == 5);
    CHECK(values_of(file, tensors, "token_embd.weight", {1, 2}) == Floats{0, 1});
    CHECK(values_of(file, tensors, "blk.1.attn_q.weight", {4, 2}).back() == 7);
    CHECK(values_of(file, tensors, "blk.1.attn_q.bias", {4}) == Floats{0, 1, 2, 3});
    CHECK(values_of(file, tensors, "blk.0.ffn_norm.weight", {2}) == Floats{0, 1});
    CHECK(values_of(file, tensors, "output.weight", {1, 2}) == Floats{5, 6});
  }
}

TEST_CASE("a tied model's output matrix, and a vision tower, are left aside") {
  HfModel model = small_model();
  model.config.tied_embeddings = true;
  model.has_other_parts = true;
  const OpenedFile file({counting("language_model.lm_head.weight", {1, 2}),
                         counting("vision_tower.vision_model.x.weight", {3}),
                         counting("multi_modal_projector.y", {3}),
                         counting("language_model.model.norm.weight", {2})});
  const auto tensors = read_hf_tensors("m", model, {}, file.files);
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].name == "output_norm.weight");
}

TEST_CASE("norms stored less one get it back, other vectors do not") {
  HfModel model = small_model();
  model.norms_plus_one = true;
  model.config.has_post_norm = true;
  const OpenedFile file({counting("model.layers.0.post_attention_layernorm.weight", {2}),
                         counting("model.layers.0.self_attn.q_norm.weight", {2}),
                         counting("model.layers.0.self_attn.q_proj.bias", {4})});
  const auto tensors = read_hf_tensors("m", model, {}, file.files);
  CHECK(values_of(file, tensors, "blk.0.post_attention_norm.weight", {2}) == Floats{1, 2});
  CHECK(values_of(file, tensors, "blk.0.attn_q_norm.weight", {2}) == Floats{1, 2});
  CHECK(values_of(file, tensors, "blk.0.attn_q.bias", {4}) == Floats{0, 1, 2, 3});
}

TEST_CASE("norms of single heads become one tensor, in whatever order they lie") {
  HfModel model = small_model();
  const std::string q = "model.layers.0.self_attn.q_layernorm.norms.";
  const BuiltTensor first = counting(q + "0.weight", {2}),
                    second = counting(q + "1.weight", {2}, 7);
  const OpenedFile file(
      {second, counting("model.layers.1.self_attn.k_layernorm.norms.0.weight", {2}), first});
  const auto tensors = read_hf_tensors("m", model, {}, file.files);
  CHECK(tensors.size() == 2);
  CHECK(values_of(file, tensors, "blk.0.attn_q_norm.weight", {2, 2}) == Floats{0, 1, 7, 8});
  CHECK(values_of(file, tensors, "blk.1.attn_k_norm.weight", {1, 2}) == Floats{0, 1});
  const auto with = [&](const BuiltTensor& other) { return message_of(model, {first, other}); };
  CHECK(message_of(model, {second}) ==
        "m: the norm of head 0 in \"blk.0.attn_q_norm.weight\" is missing");
  CHECK(with(counting(q + "2.weight", {2})) ==
        "m: tensor \"" + q + "2.weight\" has no place in a test model of 2 layers");
  CHECK(with(counting(q + "1.bias", {2}))
            .ends_with("1.bias\" has no place in a test model of 2 layers"));
  CHECK(with(counting(q + "1.", {2})).find("has no place") != std::string::npos);
  CHECK(with(counting(q + "01.weight", {2})).find("has no place") != std::string::npos);
  CHECK(with(counting(q + "1.weight", {3})) ==
        "m: tensor \"" + q + "1.weight\" has shape (3); wanted (2)");
  CHECK(with(counting("layers.0.self_attn.q_layernorm.norms.0.weight", {2}))
            .find("are the same tensor twice") != std::string::npos);
  CHECK(with({q + "1.weight", "F16", {2}, std::string(4, 'a')}) ==
        "m: tensor \"" + q + "1.weight\" is F16; \"" + q + "0.weight\" is F32");
}

TEST_CASE("fused matrices are cut by rows") {
  const OpenedFile file({counting("model.layers.0.self_attn.qkv_proj.weight", {8, 2}),
                         counting("model.layers.0.mlp.gate_up_proj.weight", {6, 2}, 100)});
  const auto tensors = read_hf_tensors("m", small_model(), {}, file.files);
  CHECK(values_of(file, tensors, "blk.0.attn_q.weight", {4, 2}) == Floats{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(values_of(file, tensors, "blk.0.attn_k.weight", {2, 2}) == Floats{8, 9, 10, 11});
  CHECK(values_of(file, tensors, "blk.0.attn_v.weight", {2, 2}) == Floats{12, 13, 14, 15});
  CHECK(values_of(file, tensors, "blk.0.ffn_gate.weight", {3, 2}).front() == 100);
  CHECK(values_of(file, tensors, "blk.0.ffn_up.weight", {3, 2}).front() == 106);
  CHECK(
      message_of(small_model(), {counting("model.layers.0.self_attn.qkv_proj.weight", {9, 2})}) ==
      "m: tensor \"model.layers.0.self_attn.qkv_proj.weight\" has shape (9, 2); wanted 8 outputs");
}

TEST_CASE("gpt_neox's heads, each with its query, key and value, are taken apart") {
  HfModel model = small_model(HfNames::kGptNeoX);
  model.config.n_kv_heads = 2;
  const OpenedFile file({counting("gpt_neox.layers.0.attention.query_key_value.weight", {12, 2}),
                         counting("gpt_neox.layers.0.attention.query_key_value.bias", {12}),
                         counting("gpt_neox.layers.0.attention.masked_bias", {}),
                         {"gpt_neox.layers.0.attention.bias", "BOOL", {1, 1, 2, 2}, "abcd"}});
  const auto tensors = read_hf_tensors("m", model, {}, file.files);
  CHECK(tensors.size() == 6);
  CHECK(values_of(file, tensors, "blk.0.attn_q.bias", {4}) == Floats{0, 1, 6, 7});
  CHECK(values_of(file, tensors, "blk.0.attn_k.bias", {4}) == Floats{2, 3, 8, 9});
  CHECK(values_of(file, tensors, "blk.0.attn_v.bias", {4}) == Floats{4, 5, 10, 11});
  CHECK(values_of(file, tensors, "blk.0.attn_k.weight", {4, 2}) ==
        Floats{4, 5, 6, 7, 16, 17, 18, 19});
}

TEST_CASE("gpt2's matrices are turned, and its fused one is cut by columns") {
  HfModel model = small_model(HfNames::kGpt2);
  model.config.n_kv_heads = 2;
  const OpenedFile file({counting("transformer.h.0.attn.c_attn.weight", {2, 12}),
                         counting("transformer.h.0.attn.c_attn.bias", {12}),
                         counting("h.1.mlp.c_fc.weight", {2, 3})});
  const auto tensors = read_hf_tensors("m", model, {}, file.files);
  CHECK(values_of(file, tensors, "blk.0.attn_k.weight", {4, 2}) ==
        Floats{4, 16, 5, 17, 6, 18, 7, 19});
  CHECK(values_of(file, tensors, "blk.0.attn_v.bias", {4}) == Floats{8, 9, 10, 11});
  CHECK(values_of(file, tensors, "blk.1.ffn_up.weight", {3, 2}) == Floats{0, 3, 1, 4, 2, 5});
}

TEST_CASE("experts are found by number, or in one tensor") {
  HfModel model = small_model();
  model.config.moe = {.n_experts = 2, .n_used = 1, .ffn_size = 3};
  model.config.layers[0].is_moe = model.config.layers[1].is_moe = true;
  const OpenedFile file({counting("model.layers.0.mlp.experts.1.down_proj.weight", {2, 3}),
                         counting("model.layers.1.block_sparse_moe.experts.0.w3.weight", {3, 2}),
                         counting("model.layers.1.mlp.experts.gate_up_proj", {2, 6, 2}),
                         counting("model.layers.1.mlp.experts.down_proj", {2, 2, 3})});
  auto tensors = read_hf_tensors(
      "m", model, {},
      {{file.files[0].mapped, {file.files[0].entries[0], file.files[0].entries[1]}}});
  CHECK(values_of(file, tensors, "blk.0.ffn_down.1.weight", {2, 3}).back() == 5);
  CHECK(values_of(file, tensors, "blk.1.ffn_up.0.weight", {3, 2}).back() == 5);
  tensors = read_hf_tensors(
      "m", model, {},
      {{file.files[0].mapped, {file.files[0].entries[2], file.files[0].entries[3]}}});
  CHECK(values_of(file, tensors, "blk.1.ffn_gate.1.weight", {3, 2}) ==
        Floats{12, 13, 14, 15, 16, 17});
  CHECK(values_of(file, tensors, "blk.1.ffn_up.0.weight", {3, 2}).front() == 6);
  CHECK(values_of(file, tensors, "blk.1.ffn_down.1.weight", {2, 3}).front() == 6);
}

TEST_CASE("tensors that cannot be used are refused by name") {
  const HfModel model = small_model();
  CHECK(message_of(model, {{"model.norm.weight", "F8_E4M3", {2}, "ab"}}) ==
        "m: tensor \"model.norm.weight\" is of type F8_E4M3, which is not supported (F32, F16 and "
        "BF16 are, and 4-bit GPTQ and AWQ checkpoints)");
  CHECK(message_of(model, {counting("model.layers.2.input_layernorm.weight", {2})}) ==
        "m: tensor \"model.layers.2.input_layernorm.weight\" has no place in a test model of 2 "
        "layers");
  for (const std::string name :
       {"model.layers.01.input_layernorm.weight", "model.layers.x", "model.layers.1",
        "score.weight", "model.norm", "model.layers.0.self_attn.q_proj.qweight",
        "model.layers.0.self_attn.q_proj.lora_A"}) {
    CAPTURE(name);
    CHECK(message_of(model, {counting(name, {2})}).find("has no place in a test model") !=
          std::string::npos);
  }
  CHECK(message_of(model, {counting("model.norm.weight", {2}), counting("norm.weight", {2})}) ==
        "m: tensor \"norm.weight\" and \"model.norm.weight\" are the same tensor twice");
  HfModel biased = small_model();
  biased.presence = {{"attn_q.bias", true, "attention_bias"}};
  CHECK(message_of(biased, {}) ==
        "m: the model lacks \"attn_q.bias\" tensors, unlike its configuration (attention_bias)");
}

TEST_CASE("a quantised model's biases of zeros are left aside, others are not") {
  HfModel model = small_model();
  model.presence = {{"attn_q.bias", false, "architecture"}};
  const std::string name = "model.layers.0.self_attn.q_proj.bias";
  const HfQuantization quantization{true, Int4Source::Packing::kGptq, 32, 1};
  const OpenedFile zeros({{name, "F16", {4}, std::string(8, '\0')}});
  CHECK(read_hf_tensors("m", model, quantization, zeros.files).empty());
  CHECK_THROWS_AS(read_hf_tensors("m", model, {}, zeros.files), FormatError);
  const OpenedFile others({counting(name, {4})});
  CHECK_THROWS_AS(read_hf_tensors("m", model, quantization, others.files), FormatError);
}

// The file's matrices as make_int4_oracle.py dequantised them.
void check_int4_oracle(const std::string& path, const std::string& name,
                       const HfQuantization& quantization, TensorType type) {
  CAPTURE(path);
  ModelFile model;
  model.files.emplace_back(path);
  const auto entries = parse_safetensors(path, model.files[0].bytes());
  const auto part = [&](const std::string& stored) -> const SafetensorsEntry* {
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const SafetensorsEntry& e) { return e.name == stored; });
    return found == entries.end() ? nullptr : &*found;
  };
  const QuantisedParts parts{part(name + ".qweight"), part(name + ".qzeros"),
                             part(name + ".scales"), part(name + ".g_idx")};
  InputOrders orders;
  const StoredTensor whole =
      make_int4_tensor(path, name, parts, quantization, {&model.files[0]}, orders);
  CHECK(whole.type == type);
  const SafetensorsEntry* wanted_entry = part(name + ".wanted");
  REQUIRE(wanted_entry != nullptr);
  REQUIRE(whole.shape == wanted_entry->shape);
  Floats wanted(static_cast<size_t>(n_elements(whole)));
  std::memcpy(wanted.data(), model.files[0].bytes().data() + wanted_entry->offset,
              wanted_entry->n_bytes);
  if (const InputOrder& order = whole.int4->input_order; order != nullptr) {
    const Floats stored = wanted;
    const auto n_in = static_cast<size_t>(whole.shape[1]);
    for (size_t i = 0; i < wanted.size(); ++i) {
      wanted[i] = stored[i / n_in * n_in + static_cast<size_t>((*order)[i % n_in])];
    }
  }
  Floats values(wanted.size());
  reference::dequantize(whole.type, read_tensor(model, whole).bytes, values);
  CHECK(values == wanted);
  CHECK((whole.int4->input_order != nullptr) == (path.find("act_order") != std::string::npos));
  const StoredTensor cut = cut_int4_tensor(whole, 3, 4);
  Floats cut_values(static_cast<size_t>(n_elements(cut)));
  reference::dequantize(cut.type, read_tensor(model, cut).bytes, cut_values);
  const auto begin = wanted.begin() + 3 * whole.shape[1];
  CHECK(cut_values == Floats(begin, begin + 4 * whole.shape[1]));
  // What is stored in the file is hardly less.
  const size_t in_file = parts.quants->n_bytes + parts.zeros->n_bytes + parts.scales->n_bytes;
  CHECK(static_cast<double>(packed_bytes(whole)) < 1.05 * static_cast<double>(in_file));
}

TEST_CASE("GPTQ and AWQ matrices have the values of the published layouts, to the bit") {
  using Packing = Int4Source::Packing;
  const std::string folder = "tests/data/int4/";
  for (const std::string name : {"a", "b"}) {
    check_int4_oracle(folder + "gptq.safetensors", name, {true, Packing::kGptq, 32, 1},
                      TensorType::kInt4_32);
  }
  check_int4_oracle(folder + "gptq_act_order.safetensors", "a", {true, Packing::kGptq, 32, 1},
                    TensorType::kInt4_32);
  check_int4_oracle(folder + "gptq_v2.safetensors", "a", {true, Packing::kGptq, 64, 0},
                    TensorType::kInt4_64);
  check_int4_oracle(folder + "awq.safetensors", "a", {true, Packing::kAwq, 128, 0},
                    TensorType::kInt4_128);
  check_int4_oracle(folder + "awq.safetensors", "b", {true, Packing::kAwq, -1, 0},
                    TensorType::kInt4_64);
}

HfQuantization quantization_of(const std::string& text) {
  static std::vector<nlohmann::json> roots;
  roots.push_back(parse_json_object("c", "{\"quantization_config\":" + text + "}"));
  return read_hf_quantization(JsonObject("c", "", roots.back()));
}

std::string quantization_message(const std::string& text) {
  try {
    quantization_of(text);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("quantization_config says how, and what is not supported") {
  CHECK_FALSE(quantization_of("null").is_quantised);
  HfQuantization q = quantization_of(R"({"quant_method":"gptq","bits":4,"group_size":128})");
  CHECK(q.is_quantised);
  CHECK(q.group_size == 128);
  CHECK(q.zero_offset == 1);
  q = quantization_of(
      R"({"quant_method":"gptq","bits":4,"group_size":-1,"checkpoint_format":"gptq_v2"})");
  CHECK(q.group_size == -1);
  CHECK(q.zero_offset == 0);
  q = quantization_of(R"({"quant_method":"awq","bits":4,"group_size":64,"version":"GEMM"})");
  CHECK(q.packing == Int4Source::Packing::kAwq);
  CHECK(q.zero_offset == 0);
  CHECK(quantization_message(R"({"quant_method":"fp8"})") ==
        "c: \"quantization_config.quant_method\" is \"fp8\"; supported are \"gptq\" and \"awq\"");
  CHECK(quantization_message(R"({"quant_method":"gptq","bits":8,"group_size":128})") ==
        "c: \"quantization_config.bits\" is 8; only checkpoints of 4 bits are supported");
  CHECK(quantization_message(R"({"quant_method":"awq","bits":4,"group_size":64,
                                 "version":"gemv"})") ==
        "c: \"quantization_config.version\" is \"gemv\"; supported is \"gemm\"");
}

// One matrix of 64 inputs in two groups and 8 outputs, with this g_idx.
struct OrderedMatrix {
  explicit OrderedMatrix(const std::string& name, const std::vector<int32_t>& group_of)
      : file({{name + ".qweight", "I32", {8, 8}, bytes_of_values(std::vector<int32_t>(64))},
              {name + ".qzeros", "I32", {2, 1}, bytes_of_values(std::vector<int32_t>(2))},
              {name + ".scales", "F16", {2, 8}, bytes_of_values(std::vector<uint16_t>(16))},
              {name + ".g_idx",
               "I32",
               {static_cast<int64_t>(group_of.size())},
               bytes_of_values(group_of)}}) {}
  const SafetensorsEntry* entry(size_t i) const { return &file.files[0].entries[i]; }
  OpenedFile file;
};
const HfQuantization kGptq32{true, Int4Source::Packing::kGptq, 32, 1};

TEST_CASE("parts of a GPTQ matrix that do not belong together are refused") {
  const auto message = [&](const OrderedMatrix& m, const QuantisedParts& parts) -> std::string {
    InputOrders orders;
    try {
      make_int4_tensor("m", "q", parts, kGptq32, {m.file.files[0].mapped}, orders);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  };
  std::vector<int32_t> groups(64, 1);
  std::fill_n(groups.begin(), 32, 0);
  const auto of_groups = [&] {
    const OrderedMatrix m("q", groups);
    return message(m, {m.entry(0), m.entry(1), m.entry(2), m.entry(3)});
  };
  CHECK(of_groups() == "no error");
  groups[5] = 1;
  CHECK(of_groups() == "m: tensor \"q.g_idx\" puts 31 inputs into group 0; wanted 32");
  groups[63] = 0;
  CHECK(of_groups() == "no error");
  for (const int32_t idx : {2, -1}) {
    groups[63] = idx;
    CHECK(of_groups() ==
          fmt::format("m: tensor \"q.g_idx\" puts input 63 into group {} of 2", idx));
  }
  groups.push_back(0);
  CHECK(of_groups() == "m: tensor \"q.g_idx\" is I32 of shape (65); wanted I32 of shape (64)");
  groups.clear();  // as some programs write it where groups are in order
  CHECK(of_groups() == "no error");
  const OrderedMatrix m("q", groups);
  CHECK(message(m, {m.entry(0), m.entry(1), m.entry(2), nullptr}) == "no error");
  CHECK(message(m, {m.entry(0), nullptr, m.entry(2), nullptr}) ==
        "m: tensor \"q.qzeros\" is missing");
  CHECK(message(m, {m.entry(0), m.entry(0), m.entry(2), nullptr}) ==
        "m: tensor \"q.qzeros\" is I32 of shape (8, 8); wanted I32 of shape (2, 1)");
}

TEST_CASE("matrices that take their inputs in the same order share it; experts may not have one") {
  std::vector<int32_t> groups(64);
  for (size_t k = 0; k < groups.size(); ++k) groups[k] = static_cast<int32_t>(k % 2);
  InputOrders orders;
  const OrderedMatrix m("q", groups);
  const auto tensor = [&] {
    return make_int4_tensor("m", "q", {m.entry(0), m.entry(1), m.entry(2), m.entry(3)}, kGptq32,
                            {m.file.files[0].mapped}, orders);
  };
  const InputOrder order = tensor().int4->input_order;
  REQUIRE(order != nullptr);
  CHECK(std::vector(order->begin(), order->begin() + 3) == std::vector<int32_t>{0, 2, 4});
  CHECK((*order)[32] == 1);
  CHECK(tensor().int4->input_order == order);

  const auto placed = [&](const std::string& name) -> std::string {
    const OrderedMatrix named(name, groups);
    try {
      const auto tensors = read_hf_tensors("m", small_model(), kGptq32, named.file.files);
      return tensors.at(0).int4->input_order != nullptr ? "in order" : "lost";
    } catch (const FormatError& error) {
      return error.what();
    }
  };
  CHECK(placed("model.layers.0.mlp.down_proj") == "in order");
  for (const std::string name :
       {"lm_head", "model.layers.0.mlp.experts.0.down_proj", "model.layers.0.mlp.gate",
        "model.layers.0.mlp.shared_expert.up_proj"}) {
    CHECK(placed(name) == "m: tensor \"" + name +
                              ".g_idx\" is not sorted (\"desc_act\"): supported in attention and "
                              "dense feed-forward blocks only");
  }
}

}  // namespace
}  // namespace prefold
