// The main loop: next step, execute, commit. The only place that knows the scheduler and the
// engine.
#pragma once

#include <functional>

#include "engine/engine.h"
#include "run/stop_control.h"
#include "schedule/scheduler.h"

namespace prefold {

// Runs until every sequence has ended, or until `stop` says so: those that decode then go on to
// their ends, unless they are to be abandoned. after_step sees each step's plan once its results
// are in; it takes back what is counted as unwritten when nothing of the step was finished.
// Returns the seconds in which the engine had a step.
double run_to_end(Scheduler& scheduler, Engine& engine, StepSink& sink, StopControl& stop,
                  const std::function<void(const StepPlan& plan)>& after_step);

}  // namespace prefold
