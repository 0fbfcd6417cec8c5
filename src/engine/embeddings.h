// The end of a step for those who want hidden states: rows after the final norm, and sums of them
// (StepPlan::embeds and ::sums).
#pragma once

#include "engine/engine.h"
#include "engine/hidden_sums.h"
#include "model/transformer.h"
#include "plan/step_plan.h"

namespace prefold {

class Embeddings {
 public:
  // All arguments must outlive this.
  Embeddings(const Device& device, const ModelConfig& config, const Weights& weights)
      : device_(device), config_(config), weights_(weights) {}

  // Overwrites workspace.normed; adds to times.elementwise.
  void run(const StepPlan& plan, const StepHidden& hidden, Workspace& workspace, StepResult& result,
           OpTimes& times);

 private:
  // normed: as hidden.rows.
  void add_rows(const StepPlan& plan, const StepHidden& hidden, const Rows& normed);

  Device device_;
  const ModelConfig& config_;
  const Weights& weights_;
  HiddenSums sums_;
};

}  // namespace prefold
