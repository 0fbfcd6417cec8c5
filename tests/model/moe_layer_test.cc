#include "model/moe_layer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/reference/dequantize.h"
#include "random_weights.h"

namespace prefold {
namespace {

constexpr int32_t kHidden = 64;

// A matrix, packed and in f32.
struct Matrix {
  Linear packed;
  std::vector<float> values;
};

Matrix random_matrix(TensorType type, int32_t n_out, int32_t n_in, ThreadPool& pool,
                     std::mt19937& rng) {
  Matrix matrix;
  const std::vector<std::byte> stored = random_stored(type, int64_t{n_out} * n_in, rng);
  matrix.packed.weight = PackedMatrix(type, stored, n_out, n_in, pool);
  matrix.values.resize(static_cast<size_t>(n_out * n_in));
  reference::dequantize(type, stored, matrix.values);
  return matrix;
}

using Vector = std::vector<double>;

Vector product(const std::vector<float>& matrix, const Vector& x) {
  Vector y(matrix.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t k = 0; k < x.size(); ++k) y[i] += matrix[i * x.size() + k] * x[k];
  }
  return y;
}

struct Expert {
  std::vector<float> gate, up, down;
  Vector operator()(const Vector& x) const {
    Vector h = product(gate, x);
    const Vector u = product(up, x);
    for (size_t i = 0; i < h.size(); ++i) h[i] = h[i] / (1.0 + std::exp(-h[i])) * u[i];
    return product(down, h);
  }
};

struct Layer {
  ModelConfig config;
  MoeWeights weights;
  std::vector<float> router, shared_router;
  std::vector<Expert> experts;
  Expert shared;
};

Layer make_layer(const MoeConfig& moe, TensorType type, ThreadPool& pool, std::mt19937& rng) {
  Layer layer;
  layer.config.hidden_size = kHidden;
  layer.config.moe = moe;
  const auto add = [&](TensorType of, int32_t n_out, int32_t n_in, std::vector<float>& values) {
    Matrix matrix = random_matrix(of, n_out, n_in, pool, rng);
    values = std::move(matrix.values);
    return std::move(matrix.packed);
  };
  layer.weights.router = add(TensorType::kF32, moe.n_experts, kHidden, layer.router);
  for (int32_t e = 0; e < moe.n_experts; ++e) {
    Expert& expert = layer.experts.emplace_back();
    layer.weights.gate.push_back(add(type, moe.ffn_size, kHidden, expert.gate));
    layer.weights.up.push_back(add(type, moe.ffn_size, kHidden, expert.up));
    layer.weights.down.push_back(add(type, kHidden, moe.ffn_size, expert.down));
  }
  if (moe.shared_ffn_size == 0) return layer;
  layer.weights.shared_gate = add(type, moe.shared_ffn_size, kHidden, layer.shared.gate);
  layer.weights.shared_up = add(type, moe.shared_ffn_size, kHidden, layer.shared.up);
  layer.weights.shared_down = add(type, kHidden, moe.shared_ffn_size, layer.shared.down);
  if (moe.has_shared_gate) {
    layer.weights.shared_router = add(TensorType::kF32, 1, kHidden, layer.shared_router);
  }
  return layer;
}

// As transformers computes a row of mixtral, qwen2_moe, qwen3_moe and olmoe.
Vector reference_row(const Layer& layer, const Vector& x) {
  const MoeConfig& moe = layer.config.moe;
  const Vector logits = product(layer.router, x);
  std::vector<int32_t> by_logit(logits.size());
  std::iota(by_logit.begin(), by_logit.end(), 0);
  std::stable_sort(by_logit.begin(), by_logit.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  double all = 0.0, taken = 0.0;
  for (const double logit : logits) all += std::exp(logit);
  for (int32_t i = 0; i < moe.n_used; ++i) taken += std::exp(logits[by_logit[i]]);
  Vector y(kHidden);
  const auto add = [&](double weight, const Vector& of) {
    for (size_t i = 0; i < y.size(); ++i) y[i] += weight * of[i];
  };
  for (int32_t i = 0; i < moe.n_used; ++i) {
    const int32_t e = by_logit[i];
    add(std::exp(logits[e]) / (moe.normalise_weights ? taken : all), layer.experts[e](x));
  }
  if (moe.shared_ffn_size > 0) {
    const double gate =
        moe.has_shared_gate ? 1.0 / (1.0 + std::exp(-product(layer.shared_router, x)[0])) : 1.0;
    add(gate, layer.shared(x));
  }
  return y;
}

std::vector<float> run(const Device& device, const Layer& layer, std::vector<float> x,
                       int32_t n_rows) {
  MoeBuffers buffers = allocate_moe_buffers(layer.config.moe, kHidden, n_rows);
  std::vector<std::byte> scratch(moe_scratch_bytes(device, layer.config.moe, kHidden, n_rows));
  std::vector<float> out(x.size());
  moe_layer(device, layer.config, layer.weights, {x.data(), n_rows, kHidden, kHidden}, buffers,
            scratch, {out.data(), n_rows, kHidden, kHidden});
  return out;
}

const MoeConfig kConfigs[] = {
    {4, 2, 96, 0, false, true},     // mixtral
    {12, 4, 32, 128, true, false},  // qwen2_moe
    {24, 8, 32, 0, false, true},    // qwen3_moe
    {16, 8, 32, 0, false, false},   // olmoe
    {6, 1, 64, 32, false, true},
};

TEST_CASE("a layer of experts equals the equations in double") {
  std::mt19937 rng(1);
  ThreadPool pool(3);
  constexpr int32_t kRows = 37;
  for (const MoeConfig& moe : kConfigs) {
    for (const TensorType type : {TensorType::kF32, TensorType::kQ8_0}) {
      const Layer layer = make_layer(moe, type, pool, rng);
      std::vector<float> x = random_floats(kRows * kHidden, rng);
      for (float& value : x) value *= 0.3f;  // keeps exponents small
      const std::vector<float> out =
          run({&pool, available_cpu_kernels().back(), Precision::kExact}, layer, x, kRows);
      for (int32_t row = 0; row < kRows; ++row) {
        const auto first = x.begin() + row * kHidden;
        const Vector wanted = reference_row(layer, {first, first + kHidden});
        double largest = 0.0;
        for (const double value : wanted) largest = std::max(largest, std::abs(value));
        for (int32_t i = 0; i < kHidden; ++i) {
          CHECK(std::abs(out[row * kHidden + i] - wanted[i]) <= 2e-5 * largest);
        }
      }
    }
  }
}

TEST_CASE("a row's bits do not depend on the other rows, the grouping, threads or kernels") {
  std::mt19937 rng(2);
  ThreadPool one(1), three(3);
  constexpr int32_t kRows = 29;
  for (const MoeConfig& moe : kConfigs) {
    const Layer layer = make_layer(moe, TensorType::kQ4_1, three, rng);
    const std::vector<float> x = random_floats(kRows * kHidden, rng);
    for (const Precision precision : {Precision::kExact, Precision::kFast}) {
      std::vector<float> wanted;  // each row by itself
      for (int32_t row = 0; row < kRows; ++row) {
        const auto first = x.begin() + row * kHidden;
        const std::vector<float> alone = run({&one, available_cpu_kernels().front(), precision},
                                             layer, {first, first + kHidden}, 1);
        wanted.insert(wanted.end(), alone.begin(), alone.end());
      }
      for (const CpuKernels* kernels : available_cpu_kernels()) {
        for (const MoeGrouping grouping : {MoeGrouping::kGrouped, MoeGrouping::kOff}) {
          CHECK(run({&one, kernels, precision, grouping}, layer, x, kRows) == wanted);
          CHECK(run({&three, kernels, precision, grouping}, layer, x, kRows) == wanted);
        }
      }
    }
  }
}

}  // namespace
}  // namespace prefold
