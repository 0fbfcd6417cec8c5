#include "kernels/cuda/gated.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "kernels/reference/elementwise.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kRows = 3;

// gate and up in one array of rows, as one product may give them, with a gap behind each row.
void check_gated(FloatType type, int32_t n_cols) {
  CAPTURE(static_cast<int>(type));
  CAPTURE(n_cols);
  const int64_t stride = 2 * n_cols + 8;
  std::mt19937 rng(n_cols);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> x(kRows * stride);
  for (float& value : x) value = normal(rng);
  x[0] = -60.0f;  // exp(-x) is large
  x[1] = 60.0f;
  x = rounded(type, x);

  const DeviceFloats both(type, x);
  GatedArgs args;
  args.gate = both.data();
  args.up = static_cast<char*>(both.data()) + n_cols * float_bytes(type);
  args.gate_stride = args.up_stride = stride;
  args.n_rows = kRows;
  args.n_cols = n_cols;
  args.type = type;
  run_kernel("silu_mul", launch_silu_mul(args, nullptr));

  const std::vector<float> out = both.download();
  const double tolerance = type == FloatType::kF32 ? 1e-6 : type == FloatType::kF16 ? 6e-4 : 5e-3;
  for (int64_t row = 0; row < kRows; ++row) {
    const float* of_row = x.data() + row * stride;
    for (int64_t i = 0; i < stride; ++i) {
      const float got = out[row * stride + i];
      if (i >= n_cols) {
        REQUIRE(got == of_row[i]);  // up and the gap are as before
      } else {
        const double wanted = reference::silu(of_row[i]) * of_row[n_cols + i];
        REQUIRE(std::fabs(got - wanted) <= tolerance * (std::fabs(wanted) + 1e-4));
      }
    }
  }
}

TEST_CASE("silu_mul: gate becomes silu(gate) * up and nothing else changes [smoke]") {
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    for (const int32_t n_cols : {8, 1536, 2056, 14336}) check_gated(type, n_cols);
  }
}

TEST_CASE("silu_mul: no rows is no launch") { CHECK(launch_silu_mul({}, nullptr) == cudaSuccess); }

}  // namespace
}  // namespace prefold::cuda
