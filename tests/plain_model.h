// A model by plain loops in double: the ops of forward_pass.h for one sequence, without a cache.
// Its weights are tensors of f32 in memory, drawn at random for a configuration.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernels/reference/elementwise.h"
#include "model/forward_pass.h"
#include "model/model_tensors.h"
#include "model/rope.h"

namespace prefold {

using PlainTensors = std::map<std::string, std::vector<float>>;

inline std::vector<WantedTensor> wanted_tensors(const ModelConfig& config) {
  std::vector<WantedTensor> all;
  for_each_wanted(config, [&](WantedTensor wanted) { all.push_back(std::move(wanted)); });
  return all;
}

// Every tensor that the configuration can have, but for those whose kind (WantedTensor, or name) is
// in `without`. Sizes of values such that activations stay around 1.
inline PlainTensors random_tensors(const ModelConfig& config, const std::set<std::string>& without,
                                   uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  PlainTensors tensors;
  for (const WantedTensor& wanted : wanted_tensors(config)) {
    if (without.contains(wanted.kind) || without.contains(wanted.name)) continue;
    const bool is_matrix = !wanted.is_plain;
    const bool is_norm_weight = !is_matrix && wanted.name.ends_with("weight");
    const bool is_table = wanted.name == kTokenEmbedding || wanted.name == kPositionEmbedding;
    const auto n_in = static_cast<float>(wanted.shape.back());
    const float scale = is_table ? 1.0f : is_matrix ? 1.5f / std::sqrt(n_in) : 0.2f;
    int64_t n = 1;
    for (const int64_t size : wanted.shape) n *= size;
    std::vector<float>& values = tensors[wanted.name];
    for (int64_t i = 0; i < n; ++i) values.push_back(is_norm_weight + scale * normal(rng));
  }
  return tensors;
}

class PlainModel {
 public:
  struct Matrix {
    int32_t n_rows = 0, n_cols = 0;
    std::vector<double> values;
    double* row(int32_t i) { return values.data() + static_cast<size_t>(i) * n_cols; }
  };
  using Rows = Matrix*;
  struct Linear {  // empty weight: none
    std::vector<float> weight, bias;
  };
  struct Norm {
    std::vector<float> weight, bias;
  };
  struct Layer {
    Norm attention_norm, q_norm, k_norm, attention_post_norm, ffn_norm, ffn_post_norm;
    Linear q, k, v, o, gate, up, down;
    Linear router, shared_gate, shared_up, shared_down, shared_router;
    std::vector<Linear> expert_gate, expert_up, expert_down;
  };
  struct Activations {
    Rows hidden, normed, q, k, v, attended, gate, up, branch;
  };
  struct Product {
    const Linear* linear;
    Rows out;
  };

  PlainModel(const ModelConfig& config, const PlainTensors& tensors, int32_t n_positions)
      : config_(config),
        tensors_(tensors),
        ropes_(make_rope_tables(config, n_positions, n_positions)) {
    for (int32_t i = 0; i < config.n_layers; ++i) layers_.push_back(layer(i));
  }

  // Natural logs of the probabilities of all ids after each token: (n_tokens, vocab_size).
  Matrix logprobs(const std::vector<int32_t>& token_ids) {
    token_ids_ = token_ids;
    const auto n_rows = static_cast<int32_t>(token_ids.size());
    const int32_t kv_cols = config_.n_kv_heads * config_.head_dim;
    resize(hidden_, n_rows, config_.hidden_size);
    resize(normed_, n_rows, config_.hidden_size);
    resize(branch_, n_rows, config_.hidden_size);
    resize(q_, n_rows, config_.n_heads * config_.head_dim);
    resize(attended_, n_rows, config_.n_heads * config_.head_dim);
    resize(k_, n_rows, kv_cols);
    resize(v_, n_rows, kv_cols);
    resize(gate_, n_rows, config_.ffn_size);
    resize(up_, n_rows, config_.ffn_size);
    act_ = {&hidden_, &normed_, &q_, &k_, &v_, &attended_, &gate_, &up_, &branch_};
    forward_pass(*this, config_);
    resize(logits_, n_rows, config_.vocab_size);
    logits_pass(*this, &hidden_, &normed_);
    for (int32_t i = 0; i < n_rows; ++i) {
      double* x = logits_.row(i);
      const double max = *std::max_element(x, x + logits_.n_cols);
      double sum = 0.0;
      for (int32_t id = 0; id < logits_.n_cols; ++id) sum += std::exp(x[id] - max);
      for (int32_t id = 0; id < logits_.n_cols; ++id) x[id] -= max + std::log(sum);
    }
    return logits_;
  }

  // The ops of forward_pass.h.
  const Activations& activations() const { return act_; }
  const Layer& layer_weights(int32_t i) const { return layers_[static_cast<size_t>(i)]; }

  void embed(Rows out) {
    const std::vector<float>& table = get(kTokenEmbedding);
    for (int32_t i = 0; i < out->n_rows; ++i) {
      for (int32_t c = 0; c < out->n_cols; ++c) {
        const auto at = static_cast<size_t>(token_ids_[static_cast<size_t>(i)]) * out->n_cols + c;
        double x = config_.embedding_scale * double{table[at]};
        if (config_.has_position_embedding) {
          x += get(kPositionEmbedding)[static_cast<size_t>(i) * out->n_cols + c];
        }
        out->row(i)[c] = x;
      }
    }
  }
  void norm(Rows x, const Norm& weights, Rows out) {
    for (int32_t i = 0; i < x->n_rows; ++i) {
      norm_values(x->row(i), x->n_cols, weights, out->row(i));
    }
  }
  void copy(Rows x, Rows out) { out->values = x->values; }
  void add_norm(Rows x, const Norm& weights, Rows out) {
    norm(x, weights, x);
    add_scaled(x, out);
  }
  void linear(Rows x, std::initializer_list<Product> products) {
    for (const Product& product : products) {
      for (int32_t i = 0; i < x->n_rows; ++i) {
        multiply(x->row(i), x->n_cols, *product.linear, product.out->n_cols, product.out->row(i));
      }
    }
  }
  void add_linear(Rows x, const Linear& w, Rows out) {
    Matrix y;
    resize(y, x->n_rows, out->n_cols);
    linear(x, {{&w, &y}});
    add_scaled(&y, out);
  }
  struct Adapted {
    LoraSite site = LoraSite::kQ;
    Rows out;
  };
  void add_lora(int32_t, Rows, std::initializer_list<Adapted>) {}  // it has no adapters
  void clip(Rows q, Rows k, Rows v) {
    const double limit = config_.qkv_clip;
    for (const Rows x : {q, k, v}) {
      for (double& value : x->values) value = std::clamp(value, -limit, limit);
    }
  }
  void qk_norm(Rows x, const Norm& weights) {
    const int32_t n = config_.qk_norm == QkNorm::kRow ? x->n_cols : config_.head_dim;
    for (int32_t at = 0; at < x->n_cols; at += n) {
      Norm of_head = weights;
      if (config_.qk_norm == QkNorm::kEachHead) {
        of_head.weight.assign(weights.weight.begin() + at, weights.weight.begin() + at + n);
      }
      for (int32_t i = 0; i < x->n_rows; ++i) {
        norm_values(x->row(i) + at, n, of_head, x->row(i) + at);
      }
    }
  }
  void keep_wanted_rows() {}  // the logits of all are looked at
  void rope_and_append(int32_t layer_idx, Rows q, Rows k, Rows) {
    const int32_t rope_idx = config_.layers[static_cast<size_t>(layer_idx)].rope_idx;
    if (rope_idx < 0) return;
    const RopeTable& table = ropes_[static_cast<size_t>(rope_idx)];
    const int32_t half = table.rotary_dim / 2;
    for (const Rows x : {q, k}) {
      for (int32_t i = 0; i < x->n_rows; ++i) {
        for (int32_t at = 0; at < x->n_cols; at += config_.head_dim) {
          for (int32_t p = 0; p < half; ++p) {
            const bool is_interleaved = table.kind == RopeKind::kInterleaved;
            double& a = x->row(i)[at + (is_interleaved ? 2 * p : p)];
            double& b = x->row(i)[at + (is_interleaved ? 2 * p + 1 : p + half)];
            const double cos = table.cos[static_cast<size_t>(i * half + p)];
            const double sin = table.sin[static_cast<size_t>(i * half + p)];
            const double turned = a * cos - b * sin;
            b = b * cos + a * sin;
            a = turned;
          }
        }
      }
    }
  }
  void attend(int32_t layer_idx, Rows q, Rows out) {
    const int32_t d = config_.head_dim, group = config_.n_heads / config_.n_kv_heads;
    const int32_t window = config_.layers[static_cast<size_t>(layer_idx)].window;
    for (int32_t i = 0; i < q->n_rows; ++i) {
      const int32_t first = window > 0 ? std::max(0, i - window + 1) : 0;
      for (int32_t h = 0; h < config_.n_heads; ++h) {
        std::vector<double> scores;
        double max = -INFINITY, sum = 0.0;
        for (int32_t p = first; p <= i; ++p) {
          const double* key = k_.row(p) + h / group * d;
          double s =
              config_.attention_scale * std::inner_product(key, key + d, q->row(i) + h * d, 0.0);
          if (config_.attention_softcap > 0.0f) {
            s = config_.attention_softcap * std::tanh(s / config_.attention_softcap);
          }
          scores.push_back(s);
          max = std::max(max, s);
        }
        for (double& s : scores) sum += s = std::exp(s - max);
        for (int32_t c = 0; c < d; ++c) {
          double value = 0.0;
          for (int32_t p = first; p <= i; ++p) {
            value += scores[static_cast<size_t>(p - first)] / sum * v_.row(p)[h / group * d + c];
          }
          out->row(i)[h * d + c] = value;
        }
      }
    }
  }
  void gate(Rows gate, Rows up) {
    activate(gate);
    for (size_t i = 0; i < gate->values.size(); ++i) gate->values[i] *= up->values[i];
  }
  void activate(Rows x) {
    for (double& value : x->values) value = activated(value);
  }
  void moe(int32_t layer_idx, Rows x, Rows out) {
    const Layer& layer = layers_[static_cast<size_t>(layer_idx)];
    const MoeConfig& moe = config_.moe;
    for (int32_t i = 0; i < x->n_rows; ++i) {
      const std::vector<double> weights = route(x->row(i), layer);
      std::fill_n(out->row(i), out->n_cols, 0.0);
      for (int32_t e = 0; e < moe.n_experts; ++e) {
        if (weights[static_cast<size_t>(e)] == 0.0) continue;
        const auto at = static_cast<size_t>(e);
        add_expert(x->row(i), layer.expert_gate[at], layer.expert_up[at], layer.expert_down[at],
                   moe.ffn_size, weights[at], out->row(i));
      }
      if (moe.shared_ffn_size == 0) continue;
      double weight = 1.0;
      if (moe.has_shared_gate) {
        multiply(x->row(i), x->n_cols, layer.shared_router, 1, &weight);
        weight = 1.0 / (1.0 + std::exp(-weight));
      }
      add_expert(x->row(i), layer.shared_gate, layer.shared_up, layer.shared_down,
                 moe.shared_ffn_size, weight, out->row(i));
    }
  }
  void add_scaled(Rows x, Rows out) {
    for (size_t i = 0; i < out->values.size(); ++i) {
      out->values[i] += config_.residual_scale * x->values[i];
    }
  }
  void norm_of_rows(Rows x, Rows out) {
    norm(x, norm_at(std::string(kOutputNorm), std::string(kOutputNormBias)), out);
  }
  void output(Rows x) {
    const Linear head = {get(config_.tied_embeddings ? kTokenEmbedding : kOutput),
                         find(kOutputBias)};
    linear(x, {{&head, &logits_}});
    for (double& value : logits_.values) {
      value *= config_.logit_scale;
      const double cap = config_.logit_softcap;
      if (cap > 0.0) value = cap * std::tanh(value / cap);
    }
  }

 private:
  static void resize(Matrix& matrix, int32_t n_rows, int32_t n_cols) {
    matrix.n_rows = n_rows;
    matrix.n_cols = n_cols;
    matrix.values.assign(static_cast<size_t>(n_rows) * static_cast<size_t>(n_cols), 0.0);
  }
  std::vector<float> find(std::string_view name) const {
    const auto found = tensors_.find(std::string(name));
    return found == tensors_.end() ? std::vector<float>{} : found->second;
  }
  const std::vector<float>& get(std::string_view name) const {
    return tensors_.at(std::string(name));
  }
  Norm norm_at(const std::string& weight, const std::string& bias) const {
    return {find(weight), find(bias)};
  }
  Norm norm_of(int32_t layer, const char* part) const {
    return norm_at(layer_tensor(layer, part), layer_tensor(layer, part, "bias"));
  }
  Linear linear_of(int32_t layer, const char* part) const {
    return {find(layer_tensor(layer, part)), find(layer_tensor(layer, part, "bias"))};
  }
  Layer layer(int32_t i) const {
    Layer w;
    w.attention_norm = norm_of(i, "attn_norm");
    w.q = linear_of(i, "attn_q");
    w.k = linear_of(i, "attn_k");
    w.v = linear_of(i, "attn_v");
    w.o = linear_of(i, "attn_output");
    w.q_norm = norm_of(i, "attn_q_norm");
    w.k_norm = norm_of(i, "attn_k_norm");
    w.attention_post_norm = norm_of(i, "post_attention_norm");
    w.ffn_norm = norm_of(i, "ffn_norm");
    w.gate = linear_of(i, "ffn_gate");
    w.up = linear_of(i, "ffn_up");
    w.down = linear_of(i, "ffn_down");
    w.ffn_post_norm = norm_of(i, "post_ffw_norm");
    w.router = linear_of(i, "ffn_gate_inp");
    w.shared_router = linear_of(i, "ffn_gate_inp_shexp");
    w.shared_gate = linear_of(i, "ffn_gate_shexp");
    w.shared_up = linear_of(i, "ffn_up_shexp");
    w.shared_down = linear_of(i, "ffn_down_shexp");
    for (int32_t e = 0; e < config_.moe.n_experts; ++e) {
      w.expert_gate.push_back({find(expert_tensor(i, "ffn_gate", e)), {}});
      w.expert_up.push_back({find(expert_tensor(i, "ffn_up", e)), {}});
      w.expert_down.push_back({find(expert_tensor(i, "ffn_down", e)), {}});
    }
    return w;
  }

  static void multiply(const double* x, int32_t n_in, const Linear& w, int32_t n_out, double* out) {
    for (int32_t o = 0; o < n_out; ++o) {
      double sum = w.bias.empty() ? 0.0 : w.bias[static_cast<size_t>(o)];
      const float* row = w.weight.data() + static_cast<size_t>(o) * n_in;
      for (int32_t k = 0; k < n_in; ++k) sum += x[k] * row[k];
      out[o] = sum;
    }
  }
  void norm_values(const double* x, int32_t n, const Norm& weights, double* out) const {
    const bool is_layer_norm = config_.norm_kind == NormKind::kLayer;
    const double mean = is_layer_norm ? std::accumulate(x, x + n, 0.0) / n : 0.0;
    double squares = 0.0;
    for (int32_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double inverse = 1.0 / std::sqrt(squares / n + config_.norm_eps);
    for (int32_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      out[i] = (x[i] - mean) * inverse * (weights.weight.empty() ? 1.0 : weights.weight[at]) +
               (weights.bias.empty() ? 0.0 : weights.bias[at]);
    }
  }
  double activated(double x) const {
    switch (config_.activation) {
      case Activation::kSilu:
        return reference::silu(x);
      case Activation::kGelu:
        return reference::gelu(x);
      case Activation::kGeluTanh:
        return reference::gelu_tanh(x);
      case Activation::kRelu:
        return reference::relu(x);
    }
    return NAN;
  }
  // By expert; 0 of those that the row does not take.
  std::vector<double> route(const double* x, const Layer& layer) const {
    const MoeConfig& moe = config_.moe;
    std::vector<double> p(static_cast<size_t>(moe.n_experts)), taken(p.size());
    multiply(x, config_.hidden_size, layer.router, moe.n_experts, p.data());
    const double max = *std::max_element(p.begin(), p.end());
    double sum = 0.0, taken_sum = 0.0;
    for (double& value : p) sum += value = std::exp(value - max);
    for (int32_t i = 0; i < moe.n_used; ++i) {
      const auto best = static_cast<size_t>(std::max_element(p.begin(), p.end()) - p.begin());
      taken[best] = p[best] / sum;
      taken_sum += taken[best];
      p[best] = -1.0;
    }
    for (double& value : taken) value /= moe.normalise_weights ? taken_sum : 1.0;
    return taken;
  }
  void add_expert(const double* x, const Linear& gate, const Linear& up, const Linear& down,
                  int32_t ffn_size, double weight, double* out) const {
    std::vector<double> g(static_cast<size_t>(ffn_size)), u(g.size());
    std::vector<double> y(static_cast<size_t>(config_.hidden_size));
    multiply(x, config_.hidden_size, gate, ffn_size, g.data());
    multiply(x, config_.hidden_size, up, ffn_size, u.data());
    for (size_t i = 0; i < g.size(); ++i) g[i] = activated(g[i]) * u[i];
    multiply(g.data(), ffn_size, down, config_.hidden_size, y.data());
    for (size_t i = 0; i < y.size(); ++i) out[i] += weight * y[i];
  }

  const ModelConfig& config_;
  const PlainTensors& tensors_;
  std::vector<RopeTable> ropes_;
  std::vector<Layer> layers_;
  std::vector<int32_t> token_ids_;
  Matrix hidden_, normed_, branch_, q_, k_, v_, attended_, gate_, up_, logits_;
  Activations act_ = {};
};

}  // namespace prefold
