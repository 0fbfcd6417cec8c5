#include "report/step_metrics.h"

#include <algorithm>
#include <bit>

namespace prefold {
namespace {

void merge(StepPoint& into, const StepPoint& later) {
  into.n_steps += later.n_steps;
  into.end_s = later.end_s;
  into.prefill_tokens += later.prefill_tokens;
  into.decode_tokens += later.decode_tokens;
  into.live_requests = std::max(into.live_requests, later.live_requests);
  into.kv_blocks = std::max(into.kv_blocks, later.kv_blocks);
}

}  // namespace

void StepMetrics::add(const StepSample& sample) {
  const int64_t tokens = sample.prefill_tokens + sample.decode_tokens + sample.padding_tokens;
  const auto width = std::bit_width(static_cast<uint64_t>(std::max<int64_t>(tokens, 1)));
  histogram_[std::min<size_t>(static_cast<size_t>(width) - 1, kHistogramBuckets - 1)] += 1;
  prefill_tokens_ += sample.prefill_tokens;
  decode_tokens_ += sample.decode_tokens;
  padding_tokens_ += sample.padding_tokens;
  max_tokens_ = std::max(max_tokens_, tokens);
  peak_kv_blocks_ = std::max(peak_kv_blocks_, sample.kv_blocks);
  peak_live_requests_ = std::max(peak_live_requests_, sample.live_requests);

  const StepPoint point{count_,
                        1,
                        sample.end_s,
                        sample.prefill_tokens,
                        sample.decode_tokens,
                        sample.live_requests,
                        sample.kv_blocks};
  count_ += 1;
  if (!points_.empty() && points_.back().n_steps < steps_per_point_) {
    merge(points_.back(), point);
    return;
  }
  if (points_.size() == kMaxPoints) halve_points();
  points_.push_back(point);
}

void StepMetrics::halve_points() {
  for (size_t i = 0; i < kMaxPoints / 2; ++i) {
    points_[i] = points_[2 * i];
    merge(points_[i], points_[2 * i + 1]);
  }
  points_.resize(kMaxPoints / 2);
  steps_per_point_ *= 2;
}

}  // namespace prefold
