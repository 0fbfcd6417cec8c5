// Executes step plans; never looks at the queue. The scheduler cannot tell which backend runs (I5).
#pragma once

#include <cstdint>

#include "plan/step_plan.h"

namespace prefold {

class Engine {
 public:
  virtual ~Engine() = default;

  // Steps that may be submitted before the first of them is waited for. 1: submit runs at once.
  virtual int32_t max_steps_in_flight() const = 0;

  // Starts a step. The plan may be given up when this returns.
  virtual void submit(const StepPlan& plan) = 0;

  // The result of the oldest step submitted and not yet waited for.
  virtual StepResult wait() = 0;
};

}  // namespace prefold
