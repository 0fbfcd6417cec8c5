#include "report/log_histogram.h"

#include <algorithm>
#include <cmath>

namespace prefold {

void LogHistogram::add(double seconds) {
  if (!(seconds > 0)) seconds = 0;
  const double doublings = seconds > kSmallestS ? std::log2(seconds / kSmallestS) : 0;
  const double last = static_cast<double>(buckets_.size()) - 1;
  buckets_[static_cast<size_t>(std::min(doublings * kBucketsPerDoubling, last))] += 1;
  min_s_ = count_ == 0 ? seconds : std::min(min_s_, seconds);
  max_s_ = std::max(max_s_, seconds);
  sum_s_ += seconds;
  count_ += 1;
}

double LogHistogram::mean_s() const {
  return count_ == 0 ? 0 : sum_s_ / static_cast<double>(count_);
}

std::vector<std::pair<double, int64_t>> LogHistogram::buckets() const {
  std::vector<std::pair<double, int64_t>> filled;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    const double end = static_cast<double>(i + 1) / kBucketsPerDoubling;
    filled.emplace_back(std::min(kSmallestS * std::exp2(end), max_s_), buckets_[i]);
  }
  return filled;
}

double LogHistogram::quantile_s(double q) const {
  if (count_ == 0) return 0;
  const auto rank = std::clamp<int64_t>(
      static_cast<int64_t>(std::ceil(q * static_cast<double>(count_))), 1, count_);
  if (rank == count_) return max_s_;
  int64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen < rank) continue;
    const double middle = (static_cast<double>(i) + 0.5) / kBucketsPerDoubling;
    return std::clamp(kSmallestS * std::exp2(middle), min_s_, max_s_);
  }
  return max_s_;
}

}  // namespace prefold
