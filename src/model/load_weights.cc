#include <algorithm>
#include <string>
#include <unordered_map>

#include "base/check.h"
#include "model/load_adapters.h"
#include "model/model_file.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

// The tensors of an opened model by name; open_model has checked which are there and their shapes.
class TensorSource {
 public:
  TensorSource(const ModelFile& model, ThreadPool& pool) : model_(model), pool_(pool) {
    for (const StoredTensor& tensor : model.tensors) tensors_.emplace(tensor.name, &tensor);
  }

  // Empty if there is none.
  PackedMatrix matrix(std::string_view name) const {
    const StoredTensor* tensor = find(name);
    if (tensor == nullptr) return {};
    CHECK(tensor->shape.size() == 2);
    PackedMatrix packed(tensor->type, read_tensor(model_, *tensor).bytes,
                        static_cast<int32_t>(tensor->shape[0]),
                        static_cast<int32_t>(tensor->shape[1]), pool_);
    drop_tensor(model_, *tensor);
    return packed;
  }

  std::vector<float> vector(std::string_view name) const {
    const StoredTensor* tensor = find(name);
    if (tensor == nullptr) return {};
    std::vector<float> values = read_floats(model_, *tensor);
    drop_tensor(model_, *tensor);
    return values;
  }

  LayerLinear linear(int32_t layer, std::string_view part) const {
    LayerLinear linear;
    linear.weight = matrix(layer_tensor(layer, part));
    linear.bias = vector(layer_tensor(layer, part, "bias"));
    const StoredTensor* tensor = find(layer_tensor(layer, part));
    if (tensor != nullptr && tensor->int4 != nullptr) {
      linear.input_order = tensor->int4->input_order;
    }
    return linear;
  }

  Norm norm(int32_t layer, std::string_view part) const {
    return {vector(layer_tensor(layer, part)), vector(layer_tensor(layer, part, "bias"))};
  }

  Linear expert(int32_t layer, std::string_view part, int32_t expert) const {
    return {matrix(expert_tensor(layer, part, expert)), {}};
  }

 private:
  const StoredTensor* find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }

  const ModelFile& model_;
  ThreadPool& pool_;
  std::unordered_map<std::string_view, const StoredTensor*> tensors_;
};

MoeWeights load_experts(const TensorSource& source, const MoeConfig& config, int32_t layer) {
  MoeWeights weights;
  weights.router = source.linear(layer, "ffn_gate_inp");
  for (int32_t expert = 0; expert < config.n_experts; ++expert) {
    weights.gate.push_back(source.expert(layer, "ffn_gate", expert));
    weights.up.push_back(source.expert(layer, "ffn_up", expert));
    weights.down.push_back(source.expert(layer, "ffn_down", expert));
  }
  weights.shared_gate = source.linear(layer, "ffn_gate_shexp");
  weights.shared_up = source.linear(layer, "ffn_up_shexp");
  weights.shared_down = source.linear(layer, "ffn_down_shexp");
  weights.shared_router = source.linear(layer, "ffn_gate_inp_shexp");
  return weights;
}

LayerWeights load_layer(const TensorSource& source, const ModelConfig& config, int32_t layer) {
  LayerWeights weights;
  weights.attention_norm = source.norm(layer, "attn_norm");
  weights.q = source.linear(layer, "attn_q");
  weights.k = source.linear(layer, "attn_k");
  weights.v = source.linear(layer, "attn_v");
  weights.q_norm = source.norm(layer, "attn_q_norm");
  weights.k_norm = source.norm(layer, "attn_k_norm");
  weights.o = source.linear(layer, "attn_output");
  weights.attention_post_norm = source.norm(layer, "post_attention_norm");
  weights.ffn_norm = source.norm(layer, "ffn_norm");
  if (config.layers[static_cast<size_t>(layer)].is_moe) {
    weights.moe = load_experts(source, config.moe, layer);
  } else {
    weights.gate = source.linear(layer, "ffn_gate");
    weights.up = source.linear(layer, "ffn_up");
    weights.down = source.linear(layer, "ffn_down");
  }
  weights.ffn_post_norm = source.norm(layer, "post_ffw_norm");
  return weights;
}

size_t bytes_of(const std::vector<float>& values) { return values.size() * sizeof(float); }
size_t bytes_of(const Linear& linear) { return linear.weight.bytes() + bytes_of(linear.bias); }
size_t bytes_of(const Norm& norm) { return bytes_of(norm.weight) + bytes_of(norm.bias); }

size_t bytes_of(const MoeWeights& moe) {
  size_t total = bytes_of(moe.router);
  for (const auto* experts : {&moe.gate, &moe.up, &moe.down}) {
    for (const Linear& linear : *experts) total += bytes_of(linear);
  }
  for (const Linear* linear :
       {&moe.shared_gate, &moe.shared_up, &moe.shared_down, &moe.shared_router}) {
    total += bytes_of(*linear);
  }
  return total;
}

size_t bytes_of(const LayerWeights& layer) {
  size_t total = bytes_of(layer.moe);
  for (const Norm* norm : {&layer.attention_norm, &layer.q_norm, &layer.k_norm,
                           &layer.attention_post_norm, &layer.ffn_norm, &layer.ffn_post_norm}) {
    total += bytes_of(*norm);
  }
  for (const LayerLinear* linear :
       {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
    total += bytes_of(*linear);
  }
  return total;
}

}  // namespace

Weights load_weights(const ModelFile& model, ThreadPool& pool) {
  const TensorSource source(model, pool);
  Weights weights;
  weights.token_embedding = source.matrix(kTokenEmbedding);
  weights.position_embedding = source.matrix(kPositionEmbedding);
  weights.layers.reserve(static_cast<size_t>(model.config.n_layers));
  for (int32_t layer = 0; layer < model.config.n_layers; ++layer) {
    weights.layers.push_back(load_layer(source, model.config, layer));
  }
  weights.final_norm = {source.vector(kOutputNorm), source.vector(kOutputNormBias)};
  if (!model.config.tied_embeddings) weights.lm_head = source.matrix(kOutput);
  weights.lm_head_bias = source.vector(kOutputBias);
  weights.adapters = load_adapters(model, pool);
  return weights;
}

int32_t Weights::max_reordered() const {
  int32_t most = 0;
  for (const LayerWeights& layer : layers) {
    for (const LayerLinear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      if (linear->input_order != nullptr) most = std::max(most, linear->weight.n_in());
    }
  }
  return most;
}

size_t Weights::bytes() const {
  size_t total = token_embedding.bytes() + position_embedding.bytes() + lm_head.bytes() +
                 bytes_of(final_norm) + bytes_of(lm_head_bias) + adapters.bytes();
  for (const LayerWeights& layer : layers) total += bytes_of(layer);
  return total;
}

}  // namespace prefold
