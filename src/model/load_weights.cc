#include <string>
#include <unordered_map>

#include "base/check.h"
#include "model/llama_tensors.h"
#include "model/model_file.h"
#include "model/stored_floats.h"

namespace prefold {
namespace {

// The tensors of an opened model by name; open_model has checked that each is there and its shape.
class TensorSource {
 public:
  TensorSource(const ModelFile& model, ThreadPool& pool) : file_(model.file), pool_(pool) {
    for (const StoredTensor& tensor : model.tensors) tensors_.emplace(tensor.name, &tensor);
  }

  bool has(std::string_view name) const { return tensors_.count(name) != 0; }

  PackedMatrix matrix(std::string_view name) const {
    const StoredTensor& tensor = find(name);
    CHECK(tensor.shape.size() == 2);
    PackedMatrix packed(tensor.type, file_.bytes().subspan(tensor.offset, tensor.n_bytes),
                        static_cast<int32_t>(tensor.shape[0]),
                        static_cast<int32_t>(tensor.shape[1]), pool_);
    file_.drop(tensor.offset, tensor.n_bytes);
    return packed;
  }

  std::vector<float> vector(std::string_view name) const {
    const StoredTensor& tensor = find(name);
    std::vector<float> values = read_floats(file_, tensor);
    file_.drop(tensor.offset, tensor.n_bytes);
    return values;
  }

  Linear linear(int32_t layer, std::string_view part) const {
    Linear result;
    result.weight = matrix(layer_tensor(layer, part));
    const std::string bias = layer_tensor(layer, part, "bias");
    if (has(bias)) result.bias = vector(bias);
    return result;
  }

 private:
  const StoredTensor& find(std::string_view name) const {
    const auto found = tensors_.find(name);
    CHECK(found != tensors_.end());
    return *found->second;
  }

  const MappedFile& file_;
  ThreadPool& pool_;
  std::unordered_map<std::string_view, const StoredTensor*> tensors_;
};

LayerWeights load_layer(const TensorSource& source, int32_t layer) {
  LayerWeights weights;
  weights.attention_norm = source.vector(layer_tensor(layer, "attn_norm"));
  weights.q = source.linear(layer, "attn_q");
  weights.k = source.linear(layer, "attn_k");
  weights.v = source.linear(layer, "attn_v");
  weights.o = source.linear(layer, "attn_output");
  weights.ffn_norm = source.vector(layer_tensor(layer, "ffn_norm"));
  weights.gate = source.linear(layer, "ffn_gate");
  weights.up = source.linear(layer, "ffn_up");
  weights.down = source.linear(layer, "ffn_down");
  return weights;
}

size_t bytes_of(const std::vector<float>& values) { return values.size() * sizeof(float); }
size_t bytes_of(const Linear& linear) { return linear.weight.bytes() + bytes_of(linear.bias); }

}  // namespace

Weights load_weights(const ModelFile& model, ThreadPool& pool) {
  const TensorSource source(model, pool);
  Weights weights;
  weights.token_embedding = source.matrix(kTokenEmbedding);
  weights.layers.reserve(static_cast<size_t>(model.config.n_layers));
  for (int32_t layer = 0; layer < model.config.n_layers; ++layer) {
    weights.layers.push_back(load_layer(source, layer));
  }
  weights.final_norm = source.vector(kOutputNorm);
  if (!model.config.tied_embeddings) weights.lm_head = source.matrix(kOutput);
  return weights;
}

size_t Weights::bytes() const {
  size_t total = token_embedding.bytes() + lm_head.bytes() + bytes_of(final_norm);
  for (const LayerWeights& layer : layers) {
    total += bytes_of(layer.attention_norm) + bytes_of(layer.ffn_norm);
    for (const Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      total += bytes_of(*linear);
    }
  }
  return total;
}

}  // namespace prefold
