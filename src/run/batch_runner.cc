#include "run/batch_runner.h"

#include <deque>

#include "base/timer.h"

namespace prefold {

double run_to_end(Scheduler& scheduler, Engine& engine, StepSink& sink,
                  const std::function<void(const StepPlan& plan)>& after_step) {
  std::deque<StepPlan> in_flight;
  Timer timer;
  double busy_s = 0;
  while (!scheduler.done() || !in_flight.empty()) {
    while (!scheduler.done() &&
           static_cast<int32_t>(in_flight.size()) < engine.max_steps_in_flight()) {
      StepPlan plan = scheduler.next_step();
      if (in_flight.empty()) timer.lap();
      in_flight.push_back(std::move(plan));
      engine.submit(in_flight.back());
    }
    const StepResult result = engine.wait();
    busy_s += timer.lap();
    scheduler.commit(result, sink);
    after_step(in_flight.front());
    in_flight.pop_front();
  }
  return busy_s;
}

}  // namespace prefold
