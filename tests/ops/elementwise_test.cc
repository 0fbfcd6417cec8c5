#include "ops/elementwise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <utility>

#include "kernels/reference/elementwise.h"

namespace prefold {
namespace {

std::vector<float> random_values(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> uniform(-2.0f, 2.0f);
  std::vector<float> values(n);
  for (float& value : values) value = uniform(rng);
  return values;
}

// Rows of `n_cols` values, a few floats apart from each other.
struct Matrix {
  std::vector<float> values;
  Rows rows;
};
Matrix random_matrix(int32_t n_rows, int32_t n_cols, uint32_t seed) {
  Matrix m;
  const int64_t stride = n_cols + 5;
  m.values = random_values(n_rows * stride, seed);
  m.rows = {m.values.data(), n_rows, n_cols, stride};
  return m;
}

std::span<const float> row_of(const Matrix& m, int32_t row) {
  return {m.rows.row(row), static_cast<size_t>(m.rows.n_cols)};
}

}  // namespace

TEST_CASE("norm: every row of a strided view by itself, in place or not") {
  ThreadPool pool(3);
  const Device device{&pool, &find_cpu_kernels("auto")};
  const Matrix x = random_matrix(70, 576, 1);
  const std::vector<float> gamma = random_values(576, 2);
  Matrix out = random_matrix(70, 576, 3);
  norm(device, x.rows, {NormKind::kRms, 1e-5f, gamma, {}}, out.rows);
  for (int32_t row = 0; row < 70; ++row) {
    const std::vector<double> exact = reference::rmsnorm(row_of(x, row), gamma, 1e-5);
    for (int32_t i = 0; i < 576; ++i) CHECK(std::abs(out.rows.row(row)[i] - exact[i]) < 1e-5);
  }
  CHECK(out.values[576] == random_matrix(70, 576, 3).values[576]);  // between two rows
  Matrix alone = random_matrix(1, 576, 4);
  std::memcpy(alone.values.data(), x.rows.row(42), 576 * sizeof(float));
  norm(device, alone.rows, {NormKind::kRms, 1e-5f, gamma, {}}, alone.rows);
  CHECK(std::memcmp(alone.values.data(), out.rows.row(42), 576 * sizeof(float)) == 0);
}

TEST_CASE("rope: heads are rotated by their row's position, the rest of a head is left alone") {
  ThreadPool pool(2);
  const Device device{&pool, &find_cpu_kernels("auto")};
  constexpr int32_t kHeadDim = 24;
  for (const RopeKind kind : {RopeKind::kInterleaved, RopeKind::kHalf}) {
    RopeTable table{kind, 16, 10, random_values(80, 5), random_values(80, 6)};
    Matrix x = random_matrix(4, 3 * kHeadDim, 7);
    const Matrix before = x;
    const std::vector<int32_t> positions = {3, 0, 9, 3};
    rope(device, table, positions, kHeadDim, {x.values.data(), 4, 3 * kHeadDim, x.rows.stride});
    for (int32_t row = 0; row < 4; ++row) {
      const std::span<const float> cos(table.cos.data() + positions[row] * 8, 8);
      const std::span<const float> sin(table.sin.data() + positions[row] * 8, 8);
      for (int32_t head = 0; head < 3; ++head) {
        const int64_t at = row * x.rows.stride + head * kHeadDim;
        const std::vector<double> exact =
            reference::rope(std::span(before.values).subspan(at, kHeadDim), cos, sin,
                            kind == RopeKind::kInterleaved);
        for (int32_t i = 0; i < kHeadDim; ++i) CHECK(std::abs(x.values[at + i] - exact[i]) < 1e-5);
        for (int32_t i = 16; i < kHeadDim; ++i) CHECK(x.values[at + i] == before.values[at + i]);
      }
    }
  }
}

TEST_CASE("reorder_columns: each row's values in the order given") {
  ThreadPool pool(2);
  const Device device{&pool, &find_cpu_kernels("auto")};
  const Matrix x = random_matrix(5, 24, 4);
  Matrix out = random_matrix(5, 24, 5);
  std::vector<int32_t> order(24);
  for (int32_t i = 0; i < 24; ++i) order[static_cast<size_t>(i)] = i * 7 % 24;
  reorder_columns(device, {x.values.data(), 5, 24, x.rows.stride}, order,
                  {out.values.data(), 5, 24, out.rows.stride});
  for (int32_t row = 0; row < 5; ++row) {
    for (int32_t col = 0; col < 24; ++col) {
      CHECK(out.values[row * out.rows.stride + col] ==
            x.values[row * x.rows.stride + col * 7 % 24]);
    }
  }
}

TEST_CASE("norm_heads: each head by itself, with weights for all or for each") {
  ThreadPool pool(2);
  const Device device{&pool, &find_cpu_kernels("auto")};
  constexpr int32_t kHeadDim = 24, kHeads = 3;
  const std::vector<float> weight = random_values(kHeads * kHeadDim, 2);
  const std::vector<float> bias = random_values(kHeads * kHeadDim, 3);
  for (const bool each : {false, true}) {
    for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
      const size_t n = each ? kHeads * kHeadDim : kHeadDim;
      NormParams params{kind, 1e-5f, std::span(weight).first(n), {}};
      if (kind == NormKind::kLayer) params.bias = std::span(bias).first(n);
      Matrix x = random_matrix(5, kHeads * kHeadDim, 4);
      const Matrix before = x;
      norm_heads(device, params, kHeadDim, {x.values.data(), 5, x.rows.n_cols, x.rows.stride});
      for (int32_t row = 0; row < 5; ++row) {
        for (int32_t head = 0; head < kHeads; ++head) {
          const int64_t at = row * x.rows.stride + head * kHeadDim;
          const size_t from = each ? head * kHeadDim : 0;
          const auto old = std::span(before.values).subspan(at, kHeadDim);
          const auto w = std::span(weight).subspan(from, kHeadDim);
          const std::vector<double> exact =
              kind == NormKind::kRms
                  ? reference::rmsnorm(old, w, 1e-5)
                  : reference::layernorm(old, w, std::span(bias).subspan(from, kHeadDim), 1e-5);
          for (int32_t i = 0; i < kHeadDim; ++i) {
            CHECK(std::abs(x.values[at + i] - exact[i]) < 1e-5);
          }
        }
      }
    }
  }
}

TEST_CASE("add_norm adds what norm and add_scaled give, to the bit") {
  ThreadPool pool(2);
  const Device device{&pool, &find_cpu_kernels("auto")};
  const std::vector<float> weight = random_values(100, 2);
  const NormParams params{NormKind::kRms, 1e-5f, weight, {}};
  Matrix x = random_matrix(40, 100, 3), fused = random_matrix(40, 100, 4);
  Matrix normed = random_matrix(40, 100, 5), apart = fused;
  apart.rows.data = apart.values.data();
  norm(device, x.rows, params, normed.rows);
  add_scaled(device, normed.rows, 0.5f, apart.rows);
  add_norm(device, x.rows, params, 0.5f, fused.rows);
  CHECK(fused.values == apart.values);
}

TEST_CASE("gate and activate: every row, by the activation asked for") {
  ThreadPool pool(2);
  const Device device{&pool, &find_cpu_kernels("auto")};
  constexpr std::pair<Activation, double (*)(double)> kActivations[] = {
      {Activation::kSilu, reference::silu},
      {Activation::kGelu, reference::gelu},
      {Activation::kGeluTanh, reference::gelu_tanh},
      {Activation::kRelu, reference::relu}};
  for (const auto& [activation, exact_of] : kActivations) {
    Matrix x = random_matrix(33, 1000, 8), alone = random_matrix(33, 1000, 8);
    const Matrix before = random_matrix(33, 1000, 8), up = random_matrix(33, 1000, 9);
    gate(device, activation, x.rows, up.rows);
    activate(device, activation, alone.rows);
    int n_wrong = 0;
    for (int32_t row = 0; row < 33; ++row) {
      for (int32_t i = 0; i < 1000; ++i) {
        const double exact = exact_of(before.rows.row(row)[i]);
        n_wrong += !(std::abs(alone.rows.row(row)[i] - exact) < 1e-5);
        n_wrong += !(std::abs(x.rows.row(row)[i] - exact * up.rows.row(row)[i]) < 1e-5);
      }
    }
    CHECK(n_wrong == 0);
  }
}

}  // namespace prefold
