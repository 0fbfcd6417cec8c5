#include "kernels/cuda/elementwise.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "random_weights.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kRows = 3;
constexpr FloatType kTypes[] = {FloatType::kF16, FloatType::kBf16, FloatType::kF32};

std::vector<float> random_rows(int64_t stride, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> x(static_cast<size_t>(kRows * stride));
  for (float& value : x) value = normal(rng);
  return x;
}

// Calls fn(at, col) for every element, those behind rows too.
template <class Fn>
void for_each(int64_t stride, Fn fn) {
  for (int64_t i = 0; i < kRows * stride; ++i) fn(static_cast<size_t>(i), i % stride);
}

}  // namespace

TEST_CASE("copy_rows: each value rounded, nothing behind a row [smoke]") {
  for (const FloatType type : kTypes) {
    for (const int32_t n_cols : {8, 1032}) {
      const int64_t stride = n_cols + 8;
      const std::vector<float> x = random_rows(stride, 1), wanted = rounded(type, x);
      const DeviceBuffer<float> from(x);
      const DeviceFloats out(type, std::vector<float>(x.size(), 77.0f));
      run_kernel("copy_rows",
                 launch_copy_rows({from.data(), stride, out.data(), type, stride, kRows, n_cols},
                                  nullptr));
      const std::vector<float> found = out.download();
      for_each(stride, [&](size_t at, int64_t col) {
        REQUIRE(found[at] == (col < n_cols ? wanted[at] : 77.0f));
      });
    }
  }
}

TEST_CASE("reorder_cols: each value goes where the order says, nothing behind a row [smoke]") {
  for (const FloatType type : kTypes) {
    for (const int32_t n_cols : {8, 1032}) {
      const int64_t stride = n_cols + 8;
      const std::vector<float> x = rounded(type, random_rows(stride, 1));
      std::vector<int32_t> order(static_cast<size_t>(n_cols));
      for (int32_t i = 0; i < n_cols; ++i) order[static_cast<size_t>(i)] = (i * 5 + 3) % n_cols;
      const DeviceFloats from(type, x), out(type, std::vector<float>(x.size(), 77.0f));
      const DeviceBuffer<int32_t> device_order(order);
      run_kernel("reorder_cols",
                 launch_reorder_cols({from.data(), type, stride, device_order.data(), out.data(),
                                      stride, kRows, n_cols},
                                     nullptr));
      const std::vector<float> found = out.download();
      for_each(stride, [&](size_t at, int64_t col) {
        const auto row = at / static_cast<size_t>(stride) * static_cast<size_t>(stride);
        REQUIRE(found[at] == (col < n_cols ? x[row + order[static_cast<size_t>(col)]] : 77.0f));
      });
    }
  }
}

TEST_CASE("keep_rows: the rows asked for, in order, and nothing behind them [smoke]") {
  const std::vector<int32_t> kept = {0, 1, 4, 5, 6, 9, 12, 13, 14, 20, 22, 23, 24, 25, 30, 31, 39};
  const auto n_kept = static_cast<int32_t>(kept.size());
  constexpr int32_t kAll = 40;
  const DeviceBuffer<int32_t> device_kept(kept);
  for (const FloatType type : kTypes) {
    for (const int32_t n_cols : {8, 1032}) {
      CAPTURE(n_cols);
      const int64_t stride = n_cols + 8;
      std::mt19937 rng(3);
      const std::vector<float> x = rounded(type, random_floats(size_t(kAll * stride), rng));
      const DeviceFloats rows(type, x);
      run_kernel("keep_rows",
                 launch_keep_rows({rows.data(), type, stride, device_kept.data(), n_kept, n_cols},
                                  nullptr));
      const std::vector<float> found = rows.download();
      for (int64_t row = 0; row < kAll; ++row) {
        for (int64_t col = 0; col < stride; ++col) {
          const int64_t from = row < n_kept && col < n_cols ? kept[row] : row;
          REQUIRE(found[row * stride + col] == x[from * stride + col]);
        }
      }
    }
  }
}

TEST_CASE("add_rows: out + scale * x in one rounding [smoke]") {
  for (const int32_t n_cols : {8, 1032}) {
    const int64_t stride = n_cols + 8;
    const std::vector<float> x = random_rows(stride, 1), old = random_rows(stride, 2);
    const DeviceBuffer<float> from(x), out(old);
    run_kernel(
        "add_rows",
        launch_add_rows({from.data(), stride, 0.22f, out.data(), stride, kRows, n_cols}, nullptr));
    const std::vector<float> found = out.download();
    for_each(stride, [&](size_t at, int64_t col) {
      REQUIRE(found[at] == (col < n_cols ? std::fma(0.22f, x[at], old[at]) : old[at]));
    });
  }
}

TEST_CASE("clip_rows: values past the limit become it, NaN stays [smoke]") {
  for (const FloatType type : kTypes) {
    constexpr int32_t kCols = 1032;
    constexpr int64_t kStride = kCols + 8;
    std::vector<float> x = random_rows(kStride, 1);
    x[3] = NAN;
    x[4] = INFINITY;
    x = rounded(type, x);
    const DeviceFloats rows(type, x);
    run_kernel("clip_rows",
               launch_clip_rows({rows.data(), type, kStride, 2.5f, kRows, kCols}, nullptr));
    const std::vector<float> found = rows.download();
    for_each(kStride, [&](size_t at, int64_t col) {
      if (at == 3) {
        REQUIRE(std::isnan(found[at]));
      } else {
        REQUIRE(found[at] == (col < kCols ? std::clamp(x[at], -2.5f, 2.5f) : x[at]));
      }
    });
  }
}

TEST_CASE("scale_cap: scaled, and capped where there is a cap, in rows of any width [smoke]") {
  for (const float cap : {0.0f, 4.0f}) {
    for (const int32_t n_cols : {5, 1031}) {
      const int64_t stride = (n_cols + 3) / 4 * 4;
      const std::vector<float> x = random_rows(stride, 1);
      const DeviceBuffer<float> rows(x);
      run_kernel("scale_cap",
                 launch_scale_cap({rows.data(), stride, 1.5f, cap, kRows, n_cols}, nullptr));
      const std::vector<float> found = rows.download();
      for_each(stride, [&](size_t at, int64_t col) {
        if (col >= n_cols) return;
        const double scaled = 1.5 * x[at];
        const double wanted = cap > 0.0f ? cap * std::tanh(scaled / cap) : scaled;
        REQUIRE(std::fabs(found[at] - wanted) <= 1e-6 * (std::fabs(wanted) + 1.0));
      });
    }
  }
}

TEST_CASE("elementwise: no rows is no launch") {
  CHECK(launch_copy_rows({}, nullptr) == cudaSuccess);
  CHECK(launch_add_rows({}, nullptr) == cudaSuccess);
  CHECK(launch_clip_rows({}, nullptr) == cudaSuccess);
  CHECK(launch_scale_cap({}, nullptr) == cudaSuccess);
}

}  // namespace prefold::cuda
