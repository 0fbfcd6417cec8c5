// Durations in fixed memory: buckets that grow by a constant ratio.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace prefold {

// 32 buckets for each doubling from 1 microsecond to 2^37 microseconds (38 hours); what is shorter
// or longer counts in the outermost ones. A quantile is off by at most 1.1 % inside that range;
// smallest and largest value are exact.
class LogHistogram {
 public:
  void add(double seconds);  // negative values and NaN count as 0

  int64_t count() const { return count_; }
  double mean_s() const;  // 0 when empty, as all of these
  double min_s() const { return min_s_; }
  double max_s() const { return max_s_; }

  // Those that are not empty, ascending: the longest duration that counts in it, and its count.
  std::vector<std::pair<double, int64_t>> buckets() const;

  // The value at rank ceil(q * count), q in [0, 1].
  double quantile_s(double q) const;

 private:
  static constexpr int kBucketsPerDoubling = 32;
  static constexpr int kDoublings = 37;
  static constexpr double kSmallestS = 1e-6;

  std::array<int64_t, kBucketsPerDoubling * kDoublings> buckets_{};
  int64_t count_ = 0;
  double sum_s_ = 0;
  double min_s_ = 0;
  double max_s_ = 0;
};

}  // namespace prefold
