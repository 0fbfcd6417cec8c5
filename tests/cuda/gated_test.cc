#include "kernels/cuda/gated.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "kernels/reference/elementwise.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kRows = 3;

struct Activation {
  GatedActivation activation;
  double (*reference)(double);
};
constexpr Activation kActivations[] = {{GatedActivation::kSilu, reference::silu},
                                       {GatedActivation::kGelu, reference::gelu},
                                       {GatedActivation::kGeluTanh, reference::gelu_tanh},
                                       {GatedActivation::kRelu, reference::relu}};

// gate and up in one array of rows, as one product may give them, with a gap behind each row.
void check_gated(const Activation& act, FloatType type, int32_t n_cols, bool has_up) {
  CAPTURE(static_cast<int>(act.activation));
  CAPTURE(static_cast<int>(type));
  CAPTURE(n_cols);
  CAPTURE(has_up);
  const int64_t stride = 2 * n_cols + 8;
  std::mt19937 rng(static_cast<uint32_t>(n_cols));
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> x(static_cast<size_t>(kRows * stride));
  for (float& value : x) value = normal(rng);
  x[0] = -60.0f;  // exp(-x) is large
  x[1] = 60.0f;
  x = rounded(type, x);

  const DeviceFloats both(type, x);
  GatedArgs args;
  args.activation = act.activation;
  args.gate = both.data();
  args.up = has_up ? static_cast<char*>(both.data()) + n_cols * float_bytes(type) : nullptr;
  args.gate_stride = args.up_stride = stride;
  args.n_rows = kRows;
  args.n_cols = n_cols;
  args.type = type;
  run_kernel("gated", launch_gated(args, nullptr));

  const std::vector<float> out = both.download();
  const double tolerance = type == FloatType::kF32 ? 2e-6 : type == FloatType::kF16 ? 6e-4 : 5e-3;
  for (int64_t row = 0; row < kRows; ++row) {
    const float* of_row = x.data() + row * stride;
    for (int64_t i = 0; i < stride; ++i) {
      const float got = out[static_cast<size_t>(row * stride + i)];
      if (i >= n_cols) {
        REQUIRE(got == of_row[i]);  // up and the gap are as before
        continue;
      }
      const double wanted = act.reference(of_row[i]) * (has_up ? of_row[n_cols + i] : 1.0);
      REQUIRE(std::fabs(got - wanted) <= tolerance * (std::fabs(wanted) + 0.01));
    }
  }
}

}  // namespace

TEST_CASE("gated: gate becomes act(gate) * up and nothing else changes [smoke]") {
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    for (const int32_t n_cols : {8, 1536, 2056}) check_gated(kActivations[0], type, n_cols, true);
    for (const Activation& act : kActivations) {
      check_gated(act, type, 136, true);
      check_gated(act, type, 136, false);
    }
  }
}

TEST_CASE("gated: no rows is no launch") { CHECK(launch_gated({}, nullptr) == cudaSuccess); }

}  // namespace prefold::cuda
