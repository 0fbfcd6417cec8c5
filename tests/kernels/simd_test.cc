#include <doctest/doctest.h>

#include <cmath>
#include <vector>

// The scalar form of simd.h; the vector forms are compared with it through the kernels.
#define KERNEL_ISA simd_test
#include "kernels/cpu/simd.h"

namespace prefold {

using namespace simd_test;

TEST_CASE("simd: exp is within 2 ulp of the exact value") {
  double worst_ulp = 0.0;
  for (double x = -87.2; x < 88.2; x += 0.00093) {
    const float rounded = static_cast<float>(x);
    const double exact = std::exp(double{rounded});
    const float got = exp(broadcast(rounded)).v[3];
    const float near = static_cast<float>(exact);
    const double ulp = std::nextafter(near, INFINITY) - near;
    worst_ulp = std::max(worst_ulp, std::abs(got - exact) / ulp);
  }
  CHECK(worst_ulp < 2.0);
}

TEST_CASE("simd: exp at the ends of its range") {
  CHECK(exp(broadcast(0.0f)).v[0] == 1.0f);
  CHECK(exp(broadcast(-0.0f)).v[0] == 1.0f);
  CHECK(exp(broadcast(-INFINITY)).v[0] == 0.0f);
  CHECK(exp(broadcast(-1000.0f)).v[0] == 0.0f);
  CHECK(exp(broadcast(-87.4f)).v[0] == 0.0f);
  CHECK(exp(broadcast(-87.2f)).v[0] > 0.0f);
  CHECK(std::isfinite(exp(broadcast(1000.0f)).v[0]));
}

TEST_CASE("simd: exp_nonpositive is within 1.3e-7 of the exact value, and 1 at 0") {
  double worst = 0.0;
  for (double x = -90.0; x < 0.0; x += 0.00037) {
    const float rounded = static_cast<float>(x);
    const float got = exp_nonpositive(broadcast(rounded)).v[5];
    worst = std::max(worst, std::abs(got - std::exp(double{rounded})));
  }
  CHECK(worst < 1.3e-7);
  for (const float x : {0.0f, -0.0f}) CHECK(exp_nonpositive(broadcast(x)).v[0] == 1.0f);
  for (const float x : {-87.0f, -200.0f, -INFINITY, NAN}) {
    CHECK(std::fpclassify(exp_nonpositive(broadcast(x)).v[0]) == FP_NORMAL);
    CHECK(exp_nonpositive(broadcast(x)).v[0] < 2e-38f);
  }
}

TEST_CASE("simd: lanes are summed by one tree") {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = 1.0f / static_cast<float>(i * i + 1);
  float tree[kLanes];
  std::memcpy(tree, lanes, sizeof(lanes));
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) tree[i] += tree[i + half];
  }
  CHECK(sum_lanes(load(lanes)) == tree[0]);
  CHECK(max_lanes(load(lanes)) == 1.0f);
}

}  // namespace prefold
