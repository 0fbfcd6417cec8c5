#include "report/log_histogram.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace prefold {
namespace {

TEST_CASE("quantiles of a log histogram are within 1.1 % of the exact ones") {
  LogHistogram histogram;
  double value = 2e-6;
  std::vector<double> values;
  for (int i = 0; i < 5000; ++i) {
    values.push_back(value);
    histogram.add(value);
    value *= 1.004;
  }
  for (const double q : {0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = values[static_cast<size_t>(std::ceil(q * 5000)) - 1];
    CHECK(std::abs(histogram.quantile_s(q) / exact - 1) < 0.011);
  }
  CHECK(histogram.quantile_s(1) == values.back());
  CHECK(histogram.min_s() == values.front());
  CHECK(histogram.max_s() == values.back());
  CHECK(histogram.count() == 5000);
}

TEST_CASE("an empty histogram is all zeros, and one value is all its quantiles") {
  LogHistogram histogram;
  CHECK(histogram.quantile_s(0.5) == 0);
  CHECK(histogram.mean_s() == 0);
  histogram.add(0.25);
  for (const double q : {0.0, 0.5, 1.0}) CHECK(histogram.quantile_s(q) == 0.25);
  CHECK(histogram.mean_s() == 0.25);
}

TEST_CASE("values beyond the range stay inside the buckets") {
  LogHistogram histogram;
  histogram.add(-1);
  histogram.add(std::numeric_limits<double>::quiet_NaN());
  histogram.add(1e12);
  CHECK(histogram.count() == 3);
  CHECK(histogram.min_s() == 0);
  CHECK(histogram.max_s() == 1e12);
  CHECK(histogram.quantile_s(0.5) < 2e-6);
}

}  // namespace
}  // namespace prefold
