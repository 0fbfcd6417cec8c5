#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
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

TEST_CASE("elementwise kernels: silu_mul, also far from zero") {
  for (const int32_t n : {3, 16, 50, 1536}) {
    CAPTURE(n);
    std::vector<float> gate = random_values(n, 20.0f, 6);
    gate[0] = -200.0f;
    gate[1] = 200.0f;
    const std::vector<float> up = random_values(n, 2.0f, 7);
    const std::vector<double> exact = reference::silu_mul(gate, up);
    std::vector<float> expected = gate;
    scalar().silu_mul(expected.data(), up.data(), n);
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(kernels->isa);
      std::vector<float> out = gate;
      kernels->elementwise->silu_mul(out.data(), up.data(), n);
      check_result(expected, out, exact);
    }
  }
}

}  // namespace prefold
