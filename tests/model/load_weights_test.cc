#include <doctest/doctest.h>

#include "base/half.h"
#include "gguf_builder.h"
#include "model/model_file.h"
#include "temp_file.h"

namespace prefold {
namespace {

void check_matrix(const PackedMatrix& matrix, TensorType type, int32_t n_out, int32_t n_in) {
  CHECK(matrix.type() == type);
  CHECK(matrix.n_out() == n_out);
  CHECK(matrix.n_in() == n_in);
  CHECK(matrix.bytes() > 0);
}

TEST_CASE("every weight is loaded in its stored type and shape") {
  const ModelFile model = open_model("tests/data/gguf/tiny.gguf");
  ThreadPool pool(2);
  const Weights weights = load_weights(model, pool);
  check_matrix(weights.token_embedding, TensorType::kQ8_0, 64, 32);
  CHECK(weights.lm_head.n_out() == 0);
  CHECK(&weights.output() == &weights.token_embedding);
  REQUIRE(weights.layers.size() == 2);
  const LayerWeights& layer = weights.layers[0];
  check_matrix(layer.q.weight, TensorType::kQ4_0, 32, 32);
  check_matrix(layer.k.weight, TensorType::kQ4_1, 16, 32);
  check_matrix(layer.v.weight, TensorType::kQ5_0, 16, 32);
  check_matrix(layer.o.weight, TensorType::kQ5_1, 32, 32);
  check_matrix(layer.gate.weight, TensorType::kF16, 64, 32);
  check_matrix(layer.up.weight, TensorType::kBF16, 64, 32);
  check_matrix(layer.down.weight, TensorType::kQ8_0, 32, 64);
  CHECK(layer.q.bias.empty());
  REQUIRE(layer.attention_norm.weight.size() == 32);
  REQUIRE(layer.ffn_norm.weight.size() == 32);
  CHECK(layer.attention_norm.weight[0] == layer.ffn_norm.weight[31]);  // as the script made them
  REQUIRE(weights.final_norm.weight.size() == 32);
  CHECK(weights.final_norm.weight.front() == 0.5f);
  CHECK(weights.final_norm.weight.back() == 1.5f);

  size_t n_bytes = weights.token_embedding.bytes() + 5 * 32 * sizeof(float);
  for (const LayerWeights& l : weights.layers) {
    for (const Linear* linear : {&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down}) {
      n_bytes += linear->weight.bytes();
    }
  }
  CHECK(weights.bytes() == n_bytes);
}

TEST_CASE("biases of half precision and an output matrix of its own are loaded") {
  GgufBuilder b = tiny_llama();
  b.add_tensor("output.weight", {8, 32}, TensorType::kQ4_0);
  b.add_tensor("blk.0.attn_v.bias", {16}, TensorType::kBF16).bytes.clear();
  for (int i = 0; i < 16; ++i) {
    b.tensor("blk.0.attn_v.bias").bytes += bytes_of_value(f32_to_bf16(static_cast<float>(i) / 4));
  }
  const TempFile file(b.build());
  ThreadPool pool(1);
  const Weights weights = load_weights(open_model(file.path()), pool);
  check_matrix(weights.lm_head, TensorType::kQ4_0, 8, 32);
  CHECK(&weights.output() == &weights.lm_head);
  const Linear& v = weights.layers[0].v;
  REQUIRE(v.bias.size() == 16);
  CHECK(v.bias[7] == 1.75f);
  CHECK(weights.layers[0].q.bias.empty());
}

}  // namespace
}  // namespace prefold
