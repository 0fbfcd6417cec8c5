#include "cuda/cuda_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "cuda/error.h"
#include "cuda/weights.h"
#include "model/model_tensors.h"

namespace prefold::cuda {
namespace {

// Where weights go, piece by piece: counted only, or packed and copied as well.
class WeightSink {
 public:
  explicit WeightSink(FloatType activations) : activations_(activations) {}
  WeightSink(FloatType activations, ThreadPool& pool, DeviceArena& arena)
      : activations_(activations), pool_(&pool), arena_(&arena) {}

  size_t n_bytes() const { return n_bytes_; }

  // Matrices of one format, as one whose outputs follow one another.
  DeviceMatrix matrix(const ModelFile& model, std::span<const StoredTensor* const> tensors) {
    std::vector<StoredMatrix> parts;
    std::vector<TensorBytes> stored;
    int32_t n_out = 0;
    const int32_t n_in = static_cast<int32_t>(tensors.front()->shape.at(1));
    for (const StoredTensor* tensor : tensors) {
      const int32_t rows = static_cast<int32_t>(tensor->shape.at(0));
      if (arena_ != nullptr) stored.push_back(read_tensor(model, *tensor));
      parts.push_back({tensor->type,
                       arena_ == nullptr ? std::span<const std::byte>{} : stored.back().bytes,
                       rows});
      n_out += parts.back().n_out;
    }
    const MatrixLayout layout = matrix_layout(parts.front().type, activations_, n_out, n_in);
    std::byte* place = take(layout.n_bytes);
    if (place == nullptr) return {layout.format, layout.type, layout.n_out, n_in, nullptr, nullptr};
    staging_.resize(std::max(staging_.size(), layout.n_bytes));
    const std::span<std::byte> packed = std::span(staging_).first(layout.n_bytes);
    pack_matrix(layout, parts, packed, *pool_);
    copy(packed, place);
    for (const StoredTensor* tensor : tensors) drop_tensor(model, *tensor);
    return device_matrix(layout, place);
  }

  const float* vector(const ModelFile& model, std::span<const StoredTensor* const> tensors) {
    size_t n_values = 0;
    for (const StoredTensor* tensor : tensors) n_values += n_elements(*tensor);
    std::byte* place = take(n_values * sizeof(float));
    if (place == nullptr) return nullptr;
    std::vector<float> values;
    for (const StoredTensor* tensor : tensors) {
      const std::vector<float> part = read_floats(model, *tensor);
      values.insert(values.end(), part.begin(), part.end());
      drop_tensor(model, *tensor);
    }
    copy(std::as_bytes(std::span(values)), place);
    return reinterpret_cast<const float*>(place);
  }

 private:
  std::byte* take(size_t n_bytes) {
    n_bytes_ += arena_bytes(n_bytes);
    return arena_ == nullptr ? nullptr : arena_->take<std::byte>(n_bytes);
  }
  static void copy(std::span<const std::byte> from, std::byte* to) {
    check_cuda("copy of weights to the device",
               cudaMemcpy(to, from.data(), from.size(), cudaMemcpyHostToDevice));
  }

  FloatType activations_;
  ThreadPool* pool_ = nullptr;
  DeviceArena* arena_ = nullptr;  // null: count only
  size_t n_bytes_ = 0;
  std::vector<std::byte> staging_;
};

// The tensors of a model by their places in the network.
class WeightReader {
 public:
  WeightReader(const ModelFile& model, FloatType activations, WeightSink& sink)
      : model_(model), config_(model.config), activations_(activations), sink_(sink) {
    for (const StoredTensor& tensor : model.tensors) tensors_.emplace(tensor.name, &tensor);
    if (find(kOutputBias) != nullptr) {
      throw Error(
          "--device cuda: this model has a bias of its logits, which the CUDA engine lacks");
    }
  }

  CudaWeights read() {
    CudaWeights weights;
    weights.token_embedding = matrix(kTokenEmbedding);
    for (int32_t i = 0; i < config_.n_layers; ++i) weights.layers.push_back(layer(i));
    weights.final_norm = vector(kOutputNorm);
    weights.output.weight = config_.tied_embeddings ? weights.token_embedding : matrix(kOutput);
    return weights;
  }

 private:
  // A matrix and where it belongs.
  struct Part {
    std::string_view name;
    DeviceLinear* linear;
  };

  CudaLayerWeights layer(int32_t i) {
    CudaLayerWeights w;
    w.attention_norm = vector(layer_tensor(i, "attn_norm"));
    linears(i, std::array{Part{"attn_q", &w.q}, Part{"attn_k", &w.k}, Part{"attn_v", &w.v}});
    linears(i, std::array{Part{"attn_output", &w.o}});
    w.ffn_norm = vector(layer_tensor(i, "ffn_norm"));
    linears(i, std::array{Part{"ffn_gate", &w.gate}, Part{"ffn_up", &w.up}});
    linears(i, std::array{Part{"ffn_down", &w.down}});
    return w;
  }

  // Neighbours that can be one matrix become one.
  void linears(int32_t layer_idx, std::span<const Part> parts) {
    for (size_t begin = 0, end = 0; begin < parts.size(); begin = end) {
      std::vector<const StoredTensor*> weights, biases;
      for (end = begin; end < parts.size(); ++end) {
        const StoredTensor* weight = find(layer_tensor(layer_idx, parts[end].name));
        const StoredTensor* bias = find(layer_tensor(layer_idx, parts[end].name, "bias"));
        CHECK(weight != nullptr);
        check_outputs(*weight);
        const bool fits =
            weights.empty() || (weight_format(weight->type, activations_) ==
                                    weight_format(weights.front()->type, activations_) &&
                                (bias == nullptr) == biases.empty());
        if (!fits) break;
        weights.push_back(weight);
        if (bias != nullptr) biases.push_back(bias);
      }
      parts[begin].linear->weight = sink_.matrix(model_, weights);
      if (!biases.empty()) parts[begin].linear->bias = sink_.vector(model_, biases);
    }
  }

  // Only those of the LM head are rounded up: activations are rows without gaps.
  static void check_outputs(const StoredTensor& weight) {
    if (weight.shape.at(0) % kWeightUnitOutputs == 0) return;
    throw Error(
        fmt::format("{}: {} outputs; on CUDA those of a layer's matrices must be a multiple of {}",
                    weight.name, weight.shape.at(0), kWeightUnitOutputs));
  }

  DeviceMatrix matrix(std::string_view name) {
    const StoredTensor* tensor = find(name);
    CHECK(tensor != nullptr);
    return sink_.matrix(model_, std::array{tensor});
  }

  const float* vector(std::string_view name) {
    const StoredTensor* tensor = find(name);
    CHECK(tensor != nullptr);
    return sink_.vector(model_, std::array{tensor});
  }

  const StoredTensor* find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }

  const ModelFile& model_;
  const ModelConfig& config_;
  FloatType activations_;
  WeightSink& sink_;
  std::unordered_map<std::string_view, const StoredTensor*> tensors_;
};

}  // namespace

WeightPlan plan_weights(const ModelFile& model, FloatType activations) {
  WeightSink sink(activations);
  CudaWeights shapes = WeightReader(model, activations, sink).read();
  return {std::move(shapes), sink.n_bytes()};
}

CudaWeights upload_weights(const ModelFile& model, FloatType activations, ThreadPool& pool,
                           DeviceArena& arena) {
  WeightSink sink(activations, pool, arena);
  CudaWeights weights = WeightReader(model, activations, sink).read();
  check_cuda("copy of weights to the device", cudaDeviceSynchronize());
  return weights;
}

std::vector<const DeviceLinear*> linears_of(const CudaWeights& weights) {
  std::vector<const DeviceLinear*> linears{&weights.output};
  for (const CudaLayerWeights& layer : weights.layers) {
    for (const DeviceLinear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      if (linear->weight.n_out > 0) linears.push_back(linear);
    }
  }
  return linears;
}

}  // namespace prefold::cuda
