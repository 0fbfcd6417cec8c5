// Watches a run's steps for those who look on: what runs, what waits, and when it will end.
#pragma once

#include "base/timer.h"
#include "report/progress.h"
#include "report/step_metrics.h"
#include "run/step_costs.h"
#include "run/work_left.h"
#include "schedule/scheduler.h"

namespace prefold {

// Passes all that it is told on to another sink.
class RunMeter : public StepSink {
 public:
  // All must outlive this; n_layers of the model, costs those that the plan went by.
  RunMeter(const Job& job, const Scheduler& scheduler, const CostModel& costs, int32_t n_layers,
           int64_t kv_bytes_per_block, StepSink& sink);

  bool on_token(int32_t sequence, const SampledToken& token) override {
    ++n_output_;
    return sink_.on_token(sequence, token);
  }
  void on_score(int32_t node, int32_t position, const SampledToken& score) override {
    sink_.on_score(node, position, score);
  }
  void on_embedding(int32_t sequence, const std::vector<float>& pooled) override {
    sink_.on_embedding(sequence, pooled);
  }
  void on_end(int32_t sequence) override {
    work_.on_end(sequence);
    sink_.on_end(sequence);
  }

  // After each step.
  void add(const StepSample& step);

  // All but the requests, as of the last step. The end is predicted anew every half second, or less
  // often where there is so much to look through that it would take time from the run.
  ProgressCounts counts();

 private:
  const Scheduler& scheduler_;
  int64_t kv_bytes_per_block_;
  StepSink& sink_;
  WorkLeft work_;
  StepCosts costs_;
  int64_t n_output_ = 0;
  int64_t n_steps_ = 0;
  double now_s_ = 0;  // since the first step began
  double remaining_s_ = -1;
  double predicted_at_s_ = 0;
  double next_prediction_s_;
};

}  // namespace prefold
