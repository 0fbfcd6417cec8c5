#include "run/run_meter.h"

#include <algorithm>

namespace prefold {
namespace {

// The first steps tell little: caches and lengths are cold.
constexpr double kFirstPredictionS = 2.0;
constexpr double kPredictionIntervalS = 0.5;
// A prediction may take this part of the time until the next one.
constexpr double kPredictionShare = 0.002;

}  // namespace

RunMeter::RunMeter(const Job& job, const Scheduler& scheduler, const CostModel& costs,
                   int32_t n_layers, int64_t kv_bytes_per_block, StepSink& sink)
    : scheduler_(scheduler),
      kv_bytes_per_block_(kv_bytes_per_block),
      sink_(sink),
      work_(job),
      costs_(step_seconds_of(costs, n_layers)),
      next_prediction_s_(kFirstPredictionS) {}

void RunMeter::add(const StepSample& step) {
  ++n_steps_;
  costs_.add(std::max(step.end_s - now_s_, 0.0), static_cast<double>(step.prefill_tokens),
             static_cast<double>(step.decode_tokens));
  now_s_ = step.end_s;
}

ProgressCounts RunMeter::counts() {
  if (now_s_ >= next_prediction_s_ && costs_.rows_per_step() > 0) {
    const Timer timer;
    remaining_s_ =
        seconds_left(work_.outlook(scheduler_), costs_.rows_per_step(), costs_.estimate());
    predicted_at_s_ = now_s_;
    next_prediction_s_ =
        now_s_ + std::max(kPredictionIntervalS, timer.seconds() / kPredictionShare);
  }
  ProgressCounts counts;
  counts.output_tokens = n_output_;
  counts.prompt_tokens = scheduler_.counters().prefill_rows;
  counts.n_steps = n_steps_;
  counts.n_running = scheduler_.n_running();
  counts.n_waiting = work_.n_left() - counts.n_running;
  counts.kv_used_bytes = scheduler_.pool().n_used() * kv_bytes_per_block_;
  counts.kv_pool_bytes = scheduler_.pool().n_blocks() * kv_bytes_per_block_;
  if (remaining_s_ >= 0) {
    counts.remaining_s = std::max(remaining_s_ - (now_s_ - predicted_at_s_), 0.0);
  }
  return counts;
}

}  // namespace prefold
