#include "kernels/cuda/norm.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "kernels/reference/elementwise.h"

namespace prefold::cuda {
namespace {

constexpr float kEps = 1e-5f;

std::vector<float> random_floats(size_t n, std::mt19937& rng) {
  std::normal_distribution<float> normal(0.0f, 2.0f);
  std::vector<float> x(n);
  for (float& value : x) value = normal(rng);
  return x;
}

struct Case {
  int32_t n_cols;
  FloatType type;
};

// The normed rows `rows` of x; all of them in order if rows is empty.
std::vector<float> normed(const std::vector<float>& x, const std::vector<float>& gamma,
                          const std::vector<int32_t>& rows, const Case& c) {
  const auto n_rows = static_cast<int32_t>(rows.empty() ? x.size() / c.n_cols : rows.size());
  const DeviceBuffer<float> hidden(x), scale(gamma);
  const DeviceBuffer<int32_t> chosen(rows.empty() ? std::vector<int32_t>{0} : rows);
  const DeviceFloats out(c.type, static_cast<size_t>(n_rows) * c.n_cols);
  run_kernel("rmsnorm", launch_rmsnorm({hidden.data(), rows.empty() ? nullptr : chosen.data(),
                                        scale.data(), kEps, n_rows, c.n_cols, out.data(), c.type},
                                       nullptr));
  return out.download();
}

void check_norm(const Case& c) {
  CAPTURE(c.n_cols);
  CAPTURE(static_cast<int>(c.type));
  std::mt19937 rng(c.n_cols);
  const std::vector<float> x = random_floats(5 * size_t{static_cast<uint32_t>(c.n_cols)}, rng);
  const std::vector<float> gamma = random_floats(c.n_cols, rng);
  const std::vector<float> out = normed(x, gamma, {}, c);
  const double tolerance = c.type == FloatType::kF32   ? 1e-6
                           : c.type == FloatType::kF16 ? 6e-4
                                                       : 5e-3;
  for (size_t row = 0; row < 5; ++row) {
    const std::span<const float> of_row(x.data() + row * c.n_cols, c.n_cols);
    const std::vector<double> wanted = reference::rmsnorm(of_row, gamma, kEps);
    for (int32_t i = 0; i < c.n_cols; ++i) {
      const double error = std::fabs(out[row * c.n_cols + i] - wanted[i]);
      REQUIRE(error <= tolerance * (std::fabs(wanted[i]) + 1e-3));
    }
  }

  // Selected rows, one of them twice: the same bits.
  const std::vector<int32_t> rows{4, 0, 3, 0};
  const std::vector<float> selected = normed(x, gamma, rows, c);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int32_t col = 0; col < c.n_cols; ++col) {
      REQUIRE(selected[i * c.n_cols + col] == out[rows[i] * c.n_cols + col]);
    }
  }
}

TEST_CASE("rmsnorm: all rows and selected ones come close to the reference [smoke]") {
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    for (const int32_t n_cols : {8, 64, 576, 4096, 8192, 8200, 20000}) check_norm({n_cols, type});
  }
}

TEST_CASE("rmsnorm: no rows is no launch") {
  RmsNormArgs args;
  args.n_cols = 64;
  CHECK(launch_rmsnorm(args, nullptr) == cudaSuccess);
}

}  // namespace
}  // namespace prefold::cuda
