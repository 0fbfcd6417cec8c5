// The natural logarithm with the same bits on every machine: the C library's may differ in the last
// place from one processor to another.
#pragma once

#include <cmath>

namespace prefold {

// ln x for positive, finite, normal x, within 2 ulp (away from x = 1, within 1e-16 near it):
// x = m 2^e with m in [1/sqrt 2, sqrt 2), ln m = 2 atanh(s), s = (m - 1) / (m + 1).
inline double natural_log(double x) {
  int e = 0;
  double m = std::frexp(x, &e);
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --e;
  }
  const double s = (m - 1.0) / (m + 1.0);
  double series = 0.0;
  for (int k = 23; k >= 1; k -= 2) series = series * (s * s) + 1.0 / k;
  return e * 0.69314718055994531 + 2.0 * s * series;
}

}  // namespace prefold
