#include "report/step_metrics.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace prefold {
namespace {

TEST_CASE("the time series of a long run is merged to at most 1000 points and loses no token") {
  for (const int64_t n_steps : {1, 999, 1000, 1001, 2000, 2001, 123'457}) {
    CAPTURE(n_steps);
    StepMetrics metrics;
    for (int64_t i = 0; i < n_steps; ++i) {
      metrics.add({static_cast<double>(i + 1), i % 7, 3, i == 5 ? 99 : 1, i % 11});
    }
    CHECK(metrics.count() == n_steps);
    CHECK(metrics.points().size() <= StepMetrics::kMaxPoints);
    if (n_steps > 1000) CHECK(metrics.points().size() > StepMetrics::kMaxPoints / 2);
    int64_t next_step = 0, prefill = 0, decode = 0, live = 0;
    for (const StepPoint& point : metrics.points()) {
      CHECK(point.first_step == next_step);
      next_step += point.n_steps;
      CHECK(point.end_s == static_cast<double>(next_step));
      prefill += point.prefill_tokens;
      decode += point.decode_tokens;
      live = std::max(live, point.live_requests);
    }
    CHECK(next_step == n_steps);
    CHECK(prefill == metrics.prefill_tokens());
    CHECK(decode == 3 * n_steps);
    CHECK(live == metrics.peak_live_requests());
  }
}

TEST_CASE("steps are counted by the power of two of their tokens") {
  StepMetrics metrics;
  for (const int64_t tokens : {0, 1, 2, 3, 4, 511, 512, 513}) {
    metrics.add({0, tokens, 0, 0, 0});
  }
  metrics.add({0, int64_t{1} << 40, 0, 0, 0});
  const auto& buckets = metrics.tokens_histogram();
  CHECK(buckets[0] == 2);
  CHECK(buckets[1] == 2);
  CHECK(buckets[2] == 1);
  CHECK(buckets[8] == 1);
  CHECK(buckets[9] == 2);
  CHECK(buckets.back() == 1);
  CHECK(metrics.max_tokens() == int64_t{1} << 40);
}

}  // namespace
}  // namespace prefold
