#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "kernels/cpu/kernels.h"
#include "kernels/reference/elementwise.h"

namespace prefold {
namespace {

std::vector<float> random_values(size_t n, float range, uint32_t seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> uniform(-range, range);
  std::vector<float> values(n);
  for (float& value : values) value = uniform(rng);
  return values;
}

// Bit by bit the same as the scalar table's result, and close to double precision.
void check_result(const std::vector<float>& scalar, const std::vector<float>& got,
                  const std::vector<double>& exact) {
  CHECK(std::memcmp(scalar.data(), got.data(), sizeof(float) * got.size()) == 0);
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(std::abs(got[i] - exact[i]) <= 1e-6 * std::max(1.0, std::abs(exact[i])));
  }
}

const ElementwiseKernels& scalar() { return *find_cpu_kernels("scalar").elementwise; }

}  // namespace

TEST_CASE("elementwise kernels: rmsnorm of any width, the same bits everywhere") {
  for (const int32_t n : {1, 15, 16, 17, 64, 100, 576, 1000}) {
    CAPTURE(n);
    const std::vector<float> x = random_values(n, 5.0f, 1);
    const std::vector<float> gamma = random_values(n, 1.0f, 2);
    const std::vector<double> exact = reference::rmsnorm(x, gamma, double{1e-5f});
    std::vector<float> expected(n);
    scalar().rmsnorm(x.data(), gamma.data(), 1e-5f, n, expected.data());
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(kernels->isa);
      std::vector<float> out = x;  // in place
      kernels->elementwise->rmsnorm(out.data(), gamma.data(), 1e-5f, n, out.data());
      check_result(expected, out, exact);
    }
  }
}

TEST_CASE("elementwise kernels: both kinds of rotary pairs") {
  for (const int32_t n_pairs : {1, 8, 16, 20, 32, 40, 64}) {
    CAPTURE(n_pairs);
    const std::vector<float> x = random_values(2 * n_pairs + 6, 3.0f, 3);
    const std::vector<float> cos = random_values(n_pairs, 1.0f, 4);
    const std::vector<float> sin = random_values(n_pairs, 1.0f, 5);
    for (const bool interleaved : {true, false}) {
      const auto rotate =
          interleaved ? &ElementwiseKernels::rope_interleaved : &ElementwiseKernels::rope_half;
      const std::vector<double> exact = reference::rope(x, cos, sin, interleaved);
      std::vector<float> expected = x;
      (scalar().*rotate)(expected.data(), cos.data(), sin.data(), n_pairs);
      for (const CpuKernels* kernels : available_cpu_kernels()) {
        CAPTURE(kernels->isa);
        std::vector<float> out = x;
        (kernels->elementwise->*rotate)(out.data(), cos.data(), sin.data(), n_pairs);
        check_result(expected, out, exact);
      }
    }
  }
}

TEST_CASE("elementwise kernels: layernorm of any width, with and without its parameters") {
  for (const int32_t n : {1, 15, 16, 17, 64, 100, 576, 1000}) {
    CAPTURE(n);
    std::vector<float> x = random_values(n, 5.0f, 1);
    for (float& value : x) value += 3.0f;
    const std::vector<float> weight = random_values(n, 1.0f, 2), bias = random_values(n, 1.0f, 3);
    for (const bool has_weight : {false, true}) {
      for (const bool has_bias : {false, true}) {
        const std::span<const float> w = has_weight ? weight : std::span<const float>{};
        const std::span<const float> b = has_bias ? bias : std::span<const float>{};
        const float* const pw = has_weight ? weight.data() : nullptr;
        const float* const pb = has_bias ? bias.data() : nullptr;
        const std::vector<double> exact = reference::layernorm(x, w, b, double{1e-5f});
        std::vector<float> expected(n);
        scalar().layernorm(x.data(), pw, pb, 1e-5f, n, expected.data());
        for (const CpuKernels* kernels : available_cpu_kernels()) {
          CAPTURE(kernels->isa);
          std::vector<float> out = x;  // in place
          kernels->elementwise->layernorm(out.data(), pw, pb, 1e-5f, n, out.data());
          check_result(expected, out, exact);
        }
      }
    }
  }
}

TEST_CASE("elementwise kernels: rmsnorm without weights") {
  const std::vector<float> x = random_values(100, 5.0f, 1);
  std::vector<float> expected(100);
  scalar().rmsnorm(x.data(), nullptr, 1e-5f, 100, expected.data());
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    CAPTURE(kernels->isa);
    std::vector<float> out = x;
    kernels->elementwise->rmsnorm(out.data(), nullptr, 1e-5f, 100, out.data());
    check_result(expected, out, reference::rmsnorm(x, {}, double{1e-5f}));
  }
}

TEST_CASE("elementwise kernels: activations, gated and alone, also far from zero") {
  constexpr std::pair<Activation, double (*)(double)> kActivations[] = {
      {Activation::kSilu, reference::silu},
      {Activation::kGelu, reference::gelu},
      {Activation::kGeluTanh, reference::gelu_tanh},
      {Activation::kRelu, reference::relu}};
  for (const auto& [activation, exact_of] : kActivations) {
    const int idx = static_cast<int>(activation);
    CAPTURE(idx);
    for (const int32_t n : {3, 16, 50, 1536}) {
      for (const float range : {20.0f, 1.0f}) {
        std::vector<float> x = random_values(n, range, 6);
        x[0] = -200.0f;
        x[1] = 200.0f;
        const std::vector<float> up = random_values(n, 2.0f, 7);
        std::vector<double> exact(n), exact_gated(n);
        for (int32_t i = 0; i < n; ++i) {
          exact[i] = exact_of(x[i]);
          exact_gated[i] = exact[i] * up[i];
        }
        std::vector<float> expected = x, expected_gated = x;
        scalar().activate[idx](expected.data(), n);
        scalar().gate[idx](expected_gated.data(), up.data(), n);
        for (const CpuKernels* kernels : available_cpu_kernels()) {
          CAPTURE(kernels->isa);
          std::vector<float> out = x;
          kernels->elementwise->activate[idx](out.data(), n);
          check_result(expected, out, exact);
          out = x;
          kernels->elementwise->gate[idx](out.data(), up.data(), n);
          check_result(expected_gated, out, exact_gated);
        }
      }
    }
  }
}

TEST_CASE("elementwise kernels: sums, factors, limits and caps") {
  for (const int32_t n : {1, 16, 50, 1000}) {
    CAPTURE(n);
    const std::vector<float> x = random_values(n, 100.0f, 8), y = random_values(n, 10.0f, 9);
    std::vector<double> sum(n), product(n), clipped(n), capped(n);
    for (int32_t i = 0; i < n; ++i) {
      sum[i] = y[i] + 0.22 * x[i];
      product[i] = x[i] * 12.0;
      clipped[i] = std::clamp(x[i], -8.0f, 8.0f);
      capped[i] = 30.0 * std::tanh(x[i] / 30.0);
    }
    const auto results = [&](const ElementwiseKernels& kernels) {
      std::vector<std::vector<float>> out{y, x, x, x};
      kernels.add_scaled(x.data(), 0.22f, n, out[0].data());
      kernels.scale(out[1].data(), 12.0f, n);
      kernels.clip(out[2].data(), 8.0f, n);
      kernels.softcap(out[3].data(), 30.0f, n);
      return out;
    };
    const auto expected = results(scalar());
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(kernels->isa);
      const auto out = results(*kernels->elementwise);
      check_result(expected[0], out[0], sum);
      check_result(expected[1], out[1], product);
      check_result(expected[2], out[2], clipped);
      check_result(expected[3], out[3], capped);
    }
  }
}

TEST_CASE("elementwise kernels: a cap keeps the small ones' relative precision, and NaN") {
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    CAPTURE(kernels->isa);
    float x[] = {1e-30f, -1e-4f, 1e30f, -1e30f, std::nanf("")};
    kernels->elementwise->softcap(x, 50.0f, 5);
    CHECK(x[0] == doctest::Approx(1e-30).epsilon(1e-6));
    CHECK(x[1] == doctest::Approx(-1e-4).epsilon(1e-6));
    CHECK(x[2] == doctest::Approx(50.0).epsilon(1e-7));
    CHECK(x[3] == -x[2]);
    CHECK(std::isnan(x[4]));
    float limited[] = {std::nanf(""), 9.0f};
    kernels->elementwise->clip(limited, 8.0f, 2);
    CHECK(std::isnan(limited[0]));
    CHECK(limited[1] == 8.0f);
  }
}

}  // namespace prefold
