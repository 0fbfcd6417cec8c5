// What each step of a run did, in fixed memory however long the run is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace prefold {

struct StepSample {
  double end_s = 0;  // since the first step began
  int64_t prefill_tokens = 0;
  int64_t decode_tokens = 0;
  int64_t live_requests = 0;
  int64_t kv_blocks = 0;  // in use
  int64_t padding_tokens = 0;
};

// Consecutive steps as one point of the time series.
struct StepPoint {
  int64_t first_step = 0;
  int64_t n_steps = 0;
  double end_s = 0;            // of the last one
  int64_t prefill_tokens = 0;  // summed
  int64_t decode_tokens = 0;   // summed
  int64_t live_requests = 0;   // largest
  int64_t kv_blocks = 0;       // largest
};

class StepMetrics {
 public:
  static constexpr size_t kMaxPoints = 1000;  // even: full series are halved
  static constexpr size_t kHistogramBuckets = 24;

  StepMetrics() { points_.reserve(kMaxPoints); }

  // Allocates nothing.
  void add(const StepSample& sample);

  int64_t count() const { return count_; }
  int64_t prefill_tokens() const { return prefill_tokens_; }
  int64_t decode_tokens() const { return decode_tokens_; }
  int64_t padding_tokens() const { return padding_tokens_; }
  int64_t max_tokens() const { return max_tokens_; }  // of one step, padding included
  int64_t peak_kv_blocks() const { return peak_kv_blocks_; }
  int64_t peak_live_requests() const { return peak_live_requests_; }

  // Steps by their tokens, padding included: bucket b counts those with 2^b to 2^(b+1) - 1 tokens;
  // the first one also those with none, the last one all that are larger.
  const std::array<int64_t, kHistogramBuckets>& tokens_histogram() const { return histogram_; }

  // In time order; every point but the last stands for the same number of steps, a power of two.
  const std::vector<StepPoint>& points() const { return points_; }

 private:
  void halve_points();

  int64_t count_ = 0;
  int64_t prefill_tokens_ = 0;
  int64_t decode_tokens_ = 0;
  int64_t padding_tokens_ = 0;
  int64_t max_tokens_ = 0;
  int64_t peak_kv_blocks_ = 0;
  int64_t peak_live_requests_ = 0;
  std::array<int64_t, kHistogramBuckets> histogram_{};
  std::vector<StepPoint> points_;
  int64_t steps_per_point_ = 1;
};

}  // namespace prefold
