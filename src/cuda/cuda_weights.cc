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
#include "cuda/weight_sink.h"
#include "cuda/weights.h"
#include "model/model_tensors.h"

namespace prefold::cuda {
namespace {

// The tensors of a model by their places in the network; open_model has checked which there are.
class WeightReader {
 public:
  WeightReader(const ModelFile& model, FloatType activations, WeightSink& sink)
      : model_(model), config_(model.config), activations_(activations), sink_(sink) {
    for (const StoredTensor& tensor : model.tensors) tensors_.emplace(tensor.name, &tensor);
  }

  CudaWeights read() {
    CudaWeights weights;
    weights.token_embedding = matrix(kTokenEmbedding);
    if (const StoredTensor* positions = find(kPositionEmbedding); positions != nullptr) {
      weights.position_embedding = sink_.floats(model_, *positions);
    }
    for (int32_t i = 0; i < config_.n_layers; ++i) weights.layers.push_back(layer(i));
    weights.final_norm = norm(kOutputNorm, kOutputNormBias);
    weights.output.weight = config_.tied_embeddings ? weights.token_embedding : matrix(kOutput);
    weights.output.bias = vector(kOutputBias);
    weights.max_reordered = max_reordered_;
    return weights;
  }

 private:
  // A matrix and where it belongs.
  struct Part {
    std::string_view name;
    CudaLinear* linear;
  };

  CudaLayerWeights layer(int32_t i) {
    CudaLayerWeights w;
    w.attention_norm = norm(i, "attn_norm");
    linears(i, std::array{Part{"attn_q", &w.q}, Part{"attn_k", &w.k}, Part{"attn_v", &w.v}});
    w.q_norm = norm(i, "attn_q_norm");
    w.k_norm = norm(i, "attn_k_norm");
    linears(i, std::array{Part{"attn_output", &w.o}});
    w.attention_post_norm = norm(i, "post_attention_norm");
    w.ffn_norm = norm(i, "ffn_norm");
    if (config_.layers[i].is_moe) {
      w.moe = moe(i);
    } else {
      if (config_.has_gate) {
        linears(i, std::array{Part{"ffn_gate", &w.gate}, Part{"ffn_up", &w.up}});
      } else {
        linears(i, std::array{Part{"ffn_up", &w.up}});
      }
      linears(i, std::array{Part{"ffn_down", &w.down}});
    }
    w.ffn_post_norm = norm(i, "post_ffw_norm");
    return w;
  }

  CudaMoe moe(int32_t i) {
    CudaMoe w;
    std::vector<const StoredTensor*> routers{&get(layer_tensor(i, "ffn_gate_inp"))};
    if (config_.moe.has_shared_gate) routers.push_back(&get(layer_tensor(i, "ffn_gate_inp_shexp")));
    w.router = sink_.dense_matrix(model_, routers);
    const auto experts = [&](std::initializer_list<std::string_view> parts) {
      std::vector<std::vector<const StoredTensor*>> tensors(config_.moe.n_experts);
      for (int32_t expert = 0; expert < config_.moe.n_experts; ++expert) {
        for (const std::string_view part : parts) {
          tensors[expert].push_back(&get(expert_tensor(i, part, expert)));
        }
      }
      return sink_.experts(model_, tensors);
    };
    const auto format = [&](std::string_view part) {
      return weight_format(get(expert_tensor(i, part, 0)).type, activations_);
    };
    if (format("ffn_gate") == format("ffn_up")) {
      w.gate = experts({"ffn_gate", "ffn_up"});
    } else {
      w.gate = experts({"ffn_gate"});
      w.up = experts({"ffn_up"});
    }
    w.down = experts({"ffn_down"});
    if (config_.moe.shared_ffn_size > 0) {
      linears(i, std::array{Part{"ffn_gate_shexp", &w.shared_gate},
                            Part{"ffn_up_shexp", &w.shared_up}});
      linears(i, std::array{Part{"ffn_down_shexp", &w.shared_down}});
    }
    return w;
  }

  // Neighbours that can be one matrix become one.
  void linears(int32_t layer_idx, std::span<const Part> parts) {
    for (size_t begin = 0, end = 0; begin < parts.size(); begin = end) {
      std::vector<const StoredTensor*> weights, biases;
      const InputOrder order = input_order_of(get(layer_tensor(layer_idx, parts[begin].name)));
      for (end = begin; end < parts.size(); ++end) {
        const StoredTensor& weight = get(layer_tensor(layer_idx, parts[end].name));
        const StoredTensor* bias = find(layer_tensor(layer_idx, parts[end].name, "bias"));
        check_outputs(weight);
        const bool fits = weights.empty() ||
                          (weight_format(weight.type, activations_) ==
                               weight_format(weights.front()->type, activations_) &&
                           input_order_of(weight) == order && (bias == nullptr) == biases.empty());
        if (!fits) break;
        weights.push_back(&weight);
        if (bias != nullptr) biases.push_back(bias);
      }
      CudaLinear& linear = *parts[begin].linear;
      linear.weight = sink_.matrix(model_, weights);
      if (!biases.empty()) linear.bias = sink_.vector(model_, biases);
      linear.input_order = sink_.input_order(order);
      if (order != nullptr) max_reordered_ = std::max(max_reordered_, linear.weight.n_in);
    }
  }

  static InputOrder input_order_of(const StoredTensor& weight) {
    return weight.int4 == nullptr ? nullptr : weight.int4->input_order;
  }

  // Only those of the LM head are rounded up: activations are rows without gaps.
  static void check_outputs(const StoredTensor& weight) {
    if (weight.shape.at(0) % kWeightUnitOutputs == 0) return;
    throw Error(
        fmt::format("{}: {} outputs; on CUDA those of a layer's matrices must be a multiple of {}",
                    weight.name, weight.shape.at(0), kWeightUnitOutputs));
  }

  DeviceMatrix matrix(std::string_view name) {
    return sink_.matrix(model_, std::array{&get(name)});
  }

  // Null if there is none.
  const float* vector(std::string_view name) {
    const StoredTensor* tensor = find(name);
    return tensor == nullptr ? nullptr : sink_.vector(model_, std::array{tensor});
  }

  CudaNorm norm(std::string_view weight, std::string_view bias) {
    const StoredTensor* tensor = find(weight);
    if (tensor == nullptr) return {};
    const auto n_values = static_cast<int32_t>(n_elements(*tensor));
    return {vector(weight), vector(bias), n_values};
  }
  CudaNorm norm(int32_t layer_idx, std::string_view part) {
    return norm(layer_tensor(layer_idx, part), layer_tensor(layer_idx, part, "bias"));
  }

  const StoredTensor* find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }
  const StoredTensor& get(std::string_view name) const {
    const StoredTensor* tensor = find(name);
    CHECK(tensor != nullptr);
    return *tensor;
  }

  const ModelFile& model_;
  const ModelConfig& config_;
  FloatType activations_;
  WeightSink& sink_;
  int32_t max_reordered_ = 0;
  std::unordered_map<std::string_view, const StoredTensor*> tensors_;
};

}  // namespace

WeightPlan plan_weights(const ModelFile& model, FloatType activations) {
  WeightSink sink(activations);
  CudaWeights shapes = WeightReader(model, activations, sink).read();
  shapes.adapters = plan_adapters(model);
  return {std::move(shapes), sink.n_bytes() + adapter_bytes(model)};
}

CudaWeights upload_weights(const ModelFile& model, FloatType activations, ThreadPool& pool,
                           DeviceArena& arena) {
  WeightSink sink(activations, pool, arena);
  CudaWeights weights = WeightReader(model, activations, sink).read();
  weights.adapters = upload_adapters(model, pool, arena);
  check_cuda("copy of weights to the device", cudaDeviceSynchronize());
  return weights;
}

std::vector<const DeviceLinear*> linears_of(const CudaWeights& weights) {
  std::vector<const DeviceLinear*> linears{&weights.output};
  for (const CudaLayerWeights& layer : weights.layers) {
    const CudaMoe& moe = layer.moe;
    for (const DeviceLinear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down,
          &moe.shared_gate, &moe.shared_up, &moe.shared_down}) {
      if (linear->weight.n_out > 0) linears.push_back(linear);
    }
  }
  return linears;
}

}  // namespace prefold::cuda
