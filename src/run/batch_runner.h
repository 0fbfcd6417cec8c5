// The main loop: next step, execute, commit. The only place that knows the scheduler and the
// engine.
#pragma once

#include <functional>

#include "engine/engine.h"
#include "schedule/scheduler.h"

namespace prefold {

// Runs until every sequence has ended. after_step sees each step's plan once its results are in.
// Returns the seconds in which the engine had a step.
double run_to_end(Scheduler& scheduler, Engine& engine, StepSink& sink,
                  const std::function<void(const StepPlan& plan)>& after_step);

}  // namespace prefold
