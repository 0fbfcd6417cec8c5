#include "run/step_costs.h"

#include <algorithm>
#include <cmath>

namespace prefold {
namespace {

// How much the prior weighs beside the steps seen.
constexpr double kRidge = 0.02;

using Vec = std::array<double, 3>;

double dot(const Vec& a, const Vec& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// Of a symmetric positive definite matrix, by Gaussian elimination.
Vec solve(std::array<Vec, 3> a, Vec b) {
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = i + 1; j < 3; ++j) {
      const double factor = a[j][i] / a[i][i];
      for (size_t k = i; k < 3; ++k) a[j][k] -= factor * a[i][k];
      b[j] -= factor * b[i];
    }
  }
  for (size_t i = 3; i-- > 0;) {
    for (size_t k = i + 1; k < 3; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
  return b;
}

}  // namespace

StepSeconds step_seconds_of(const CostModel& costs, int32_t n_layers) {
  constexpr double kSecondsPerNs = 1e-9;
  // The line through the first and the last point.
  const auto slope_of = [](const CostCurve& curve) {
    const CostPoint& first = curve.front();
    const CostPoint& last = curve.back();
    if (last.n == first.n) return first.ns / std::max(first.n, 1);
    return std::max(last.ns - first.ns, 0.0) / (last.n - first.n);
  };
  const auto at_zero = [&](const CostCurve& curve) {
    return std::max(curve.front().ns - slope_of(curve) * curve.front().n, 0.0);
  };
  const double row = n_layers * slope_of(costs.layer_ns) * kSecondsPerNs;
  return {(n_layers * at_zero(costs.layer_ns) + at_zero(costs.sample_ns)) * kSecondsPerNs, row,
          row + slope_of(costs.sample_ns) * kSecondsPerNs};
}

void StepCosts::add(double seconds, double prefill_rows, double decode_rows) {
  const double kept = std::exp2(-seconds / kHalfLifeS);
  const Vec x{1.0, prefill_rows, decode_rows};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) squares_[i][j] = squares_[i][j] * kept + x[i] * x[j];
    products_[i] = products_[i] * kept + x[i] * seconds;
  }
  seconds_ = seconds_ * kept + seconds;
}

StepSeconds StepCosts::estimate() const {
  const Vec sums = squares_[0];  // of x
  Vec costs{prior_.step, prior_.prefill_row, prior_.decode_row};
  const double foretold = dot(costs, sums);
  if (!(foretold > 0)) return prior_;
  for (double& cost : costs) cost *= seconds_ / foretold;
  std::array<Vec, 3> system = squares_;
  Vec rest = products_;
  for (size_t i = 0; i < 3; ++i) {
    rest[i] -= dot(squares_[i], costs);
    system[i][i] += kRidge * squares_[i][i];
    if (!(system[i][i] > 0)) system[i][i] = 1.0;  // no such row so far
  }
  const Vec change = solve(system, rest);
  for (size_t i = 0; i < 3; ++i) costs[i] = std::max(costs[i] + change[i], 0.0);
  const double fitted = dot(costs, sums);
  const double scale = fitted > 0 ? seconds_ / fitted : 1.0;
  return {costs[0] * scale, costs[1] * scale, costs[2] * scale};
}

double StepCosts::rows_per_step() const {
  const Vec& sums = squares_[0];
  return sums[0] > 0 ? (sums[1] + sums[2]) / sums[0] : 0.0;
}

}  // namespace prefold
