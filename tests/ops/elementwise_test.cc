#include "ops/elementwise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

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

TEST_CASE("rmsnorm: every row of a strided view by itself, in place or not") {
  ThreadPool pool(3);
  const Device device{&pool, &find_cpu_kernels("auto")};
  const Matrix x = random_matrix(70, 576, 1);
  const std::vector<float> gamma = random_values(576, 2);
  Matrix out = random_matrix(70, 576, 3);
  rmsnorm(device, x.rows, gamma, 1e-5f, out.rows);
  for (int32_t row = 0; row < 70; ++row) {
    const std::vector<double> exact = reference::rmsnorm(row_of(x, row), gamma, 1e-5);
    for (int32_t i = 0; i < 576; ++i) CHECK(std::abs(out.rows.row(row)[i] - exact[i]) < 1e-5);
  }
  CHECK(out.values[576] == random_matrix(70, 576, 3).values[576]);  // between two rows
  Matrix alone = random_matrix(1, 576, 4);
  std::memcpy(alone.values.data(), x.rows.row(42), 576 * sizeof(float));
  rmsnorm(device, alone.rows, gamma, 1e-5f, alone.rows);
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

TEST_CASE("silu_mul: gate becomes silu(gate) * up") {
  ThreadPool pool(2);
  const Device device{&pool, &find_cpu_kernels("auto")};
  Matrix gate = random_matrix(33, 1000, 8);
  const Matrix before = gate;
  const Matrix up = random_matrix(33, 1000, 9);
  silu_mul(device, {gate.values.data(), 33, 1000, gate.rows.stride}, up.rows);
  for (int32_t row = 0; row < 33; ++row) {
    const std::span<const float> old(before.values.data() + row * gate.rows.stride, 1000);
    const std::vector<double> exact = reference::silu_mul(old, row_of(up, row));
    for (int32_t i = 0; i < 1000; ++i) {
      CHECK(std::abs(gate.values[row * gate.rows.stride + i] - exact[i]) < 1e-5);
    }
  }
}

}  // namespace prefold
