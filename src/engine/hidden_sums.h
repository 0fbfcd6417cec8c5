// Sums of hidden states, kept from step to step (StepPlan::sums): what the mean of a prompt's rows
// is made of.
//
// A sum adds its rows in order, in f64: its bits do not depend on the steps that it was cut into,
// nor on who else started from the sum of a shared prefix (invariant I6).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/step_plan.h"

namespace prefold {

class HiddenSums {
 public:
  // Before the sums of a step are added to: gives new slots their n_cols values.
  void prepare(std::span<const SumRows> sums, int32_t n_cols);

  // Columns [begin, begin + n_cols) of one of these sums: to where it starts from, adds rows[i] of
  // `stride` elements for i below sum.n_rows. On any thread, each column once a step: sums that
  // others start from are written by no one in the same step.
  void add(const SumRows& sum, const float* rows, int64_t stride, int32_t begin, int32_t n_cols);

  const std::vector<double>& of(int32_t slot) const { return sums_[slot]; }

 private:
  std::vector<std::vector<double>> sums_;  // by slot
};

}  // namespace prefold
