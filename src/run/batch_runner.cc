#include "run/batch_runner.h"

#include <deque>

namespace prefold {

void run_to_end(Scheduler& scheduler, Engine& engine, StepSink& sink,
                const std::function<void(const StepPlan& plan)>& after_step) {
  std::deque<StepPlan> in_flight;
  while (!scheduler.done() || !in_flight.empty()) {
    while (!scheduler.done() &&
           static_cast<int32_t>(in_flight.size()) < engine.max_steps_in_flight()) {
      in_flight.push_back(scheduler.next_step());
      engine.submit(in_flight.back());
    }
    scheduler.commit(engine.wait(), sink);
    after_step(in_flight.front());
    in_flight.pop_front();
  }
}

}  // namespace prefold
