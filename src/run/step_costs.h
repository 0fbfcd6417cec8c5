// What the steps of a run take, learnt while it goes on. The prediction of its end rests on it and
// nothing else: scheduling never reads the clock.
#pragma once

#include <array>

#include "plan/cost_model.h"

namespace prefold {

// A step takes `step` plus so much for each of its rows.
struct StepSeconds {
  double step = 0;
  double prefill_row = 0;
  double decode_row = 0;
};

// Of a cost model: layers and LM head. What attention takes is left out, as it depends on lengths.
StepSeconds step_seconds_of(const CostModel& costs, int32_t n_layers);

// Least squares over the steps so far, recent ones above all. Steps that are much alike do not tell
// their rows' costs apart; what they leave open is as in the prior, in proportion.
class StepCosts {
 public:
  // A step counts half as much after this time.
  static constexpr double kHalfLifeS = 60.0;

  explicit StepCosts(const StepSeconds& prior) : prior_(prior) {}

  void add(double seconds, double prefill_rows, double decode_rows);

  // Each is 0 or more; together they give the time of the steps seen. The prior before any step.
  StepSeconds estimate() const;

  // Mean of the recent steps; 0 before any.
  double rows_per_step() const;

 private:
  using Vec = std::array<double, 3>;  // by step, prefill row, decode row

  StepSeconds prior_;
  std::array<Vec, 3> squares_{};  // sum of x x^T over steps x = (1, prefill, decode), weighted
  Vec products_{};                // sum of x times seconds
  double seconds_ = 0;
};

}  // namespace prefold
