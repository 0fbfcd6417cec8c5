#include "plan/length.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace prefold;

namespace {

constexpr int32_t kNone = LengthPredictor::kNoGroup;

LengthDistribution lengths_of(int32_t n_tokens, int64_t n_answers) {
  LengthDistribution lengths;
  lengths.add(n_tokens, n_answers, 0);
  return lengths;
}

}  // namespace

TEST_CASE("before anything has finished, a modest length is assumed, never more than allowed") {
  const LengthPredictor lengths;
  CHECK(lengths.predict(kNone, 0, 4096) == 128);
  CHECK(lengths.predict(kNone, 0, 50) == 50);
  CHECK(lengths.predict(kNone, 200, 4096) == 401);
  CHECK(lengths.predict(kNone, 300, 300) == 300);
}

TEST_CASE("the prediction is the 90th percentile of finished answers that were longer") {
  LengthPredictor lengths;
  for (int32_t n = 1; n <= 100; ++n) lengths.observe(kNone, n, false);
  CHECK(lengths.predict(kNone, 0, 4096) == 90);
  CHECK(lengths.predict(kNone, 50, 4096) == 95);
  CHECK(lengths.predict(kNone, 50, 60) == 60);
  CHECK(lengths.predict(kNone, 95, 4096) == 191);  // too few were longer
}

TEST_CASE("a prediction is always beyond what has been sampled") {
  LengthPredictor lengths;
  for (int i = 0; i < 20; ++i) lengths.observe(kNone, i % 3, false);
  for (int32_t n = 0; n < 400; ++n) CHECK(lengths.predict(kNone, n, 4096) > n);
}

TEST_CASE("answers that were cut off count as longer than they became") {
  LengthPredictor lengths;
  for (int i = 0; i < 30; ++i) lengths.observe(kNone, 16, true);
  CHECK(lengths.predict(kNone, 0, 16) == 16);
  CHECK(lengths.predict(kNone, 0, 500) == 500);  // nothing says that answers end before
  for (int i = 0; i < 10; ++i) lengths.observe(kNone, 100 + i, false);
  CHECK(lengths.predict(kNone, 0, 500) == 108);  // of those that could, 9 of 10 ended there
}

TEST_CASE(
    "a group's own answers come first, then its prior, then the job's, then the job's prior") {
  LengthsByGroup prior;
  prior.job = lengths_of(40, 8);
  prior.groups = {LengthDistribution(), lengths_of(20, 8)};
  LengthPredictor lengths(prior);
  CHECK(lengths.predict(kNone, 0, 4096) == 40);
  CHECK(lengths.predict(0, 0, 4096) == 40);
  CHECK(lengths.predict(1, 0, 4096) == 20);
  for (int i = 0; i < 8; ++i) lengths.observe(0, 30, false);
  CHECK(lengths.predict(kNone, 0, 4096) == 30);
  CHECK(lengths.predict(0, 0, 4096) == 30);
  CHECK(lengths.predict(1, 0, 4096) == 20);
  for (int i = 0; i < 7; ++i) lengths.observe(1, 10, false);
  CHECK(lengths.predict(1, 0, 4096) == 20);  // one too few of its own
  lengths.observe(1, 10, false);
  CHECK(lengths.predict(1, 0, 4096) == 10);
  CHECK(lengths.predict(1, 35, 4096) == 40);  // only the prior knows enough that long
}

TEST_CASE("lengths are counted exactly below 128 tokens, and less than 1/64 too long above") {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    const auto n = static_cast<int32_t>(random() >> (12 + random() % 20));
    const std::vector<LengthBucket> buckets = lengths_of(n, 3).buckets();
    REQUIRE(buckets.size() == 1);
    CHECK(buckets[0].n_stopped == 3);
    CHECK(buckets[0].n_tokens >= n);
    CHECK(buckets[0].n_tokens - n <= (n < 128 ? 0 : n / 64));
    // What the report says comes back as the same.
    CHECK(lengths_of(buckets[0].n_tokens, 1).buckets()[0].n_tokens == buckets[0].n_tokens);
  }
  CHECK(lengths_of(INT32_MAX, 1).buckets()[0].n_tokens == LengthDistribution::kLongest);
}
