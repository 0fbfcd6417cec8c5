#include "plan/length.h"

#include <doctest/doctest.h>

using namespace prefold;

TEST_CASE("before anything has finished, a modest length is assumed, never more than allowed") {
  const LengthPredictor lengths;
  CHECK(lengths.predict(0, 4096) == 128);
  CHECK(lengths.predict(0, 50) == 50);
  CHECK(lengths.predict(200, 4096) == 401);
  CHECK(lengths.predict(300, 300) == 300);
}

TEST_CASE("the prediction is the 90th percentile of finished answers that were longer") {
  LengthPredictor lengths;
  for (int32_t n = 1; n <= 100; ++n) lengths.observe(n);
  CHECK(lengths.predict(0, 4096) == 90);
  CHECK(lengths.predict(50, 4096) == 95);
  CHECK(lengths.predict(50, 60) == 60);
  CHECK(lengths.predict(95, 4096) == 191);  // too few were longer
}

TEST_CASE("a prediction is always beyond what has been sampled") {
  LengthPredictor lengths;
  for (int i = 0; i < 20; ++i) lengths.observe(i % 3);
  for (int32_t n = 0; n < 400; ++n) CHECK(lengths.predict(n, 4096) > n);
}
