#include "run/batch_runner.h"

#include <deque>
#include <utility>

#include "base/timer.h"

namespace prefold {

double run_to_end(Scheduler& scheduler, Engine& engine, StepSink& sink, StopControl& stop,
                  const std::function<void(const StepPlan& plan)>& after_step) {
  std::deque<StepPlan> in_flight;
  Timer timer;
  double busy_s = 0;
  bool stopping = false;
  while (true) {
    if (stop.stopping() && !std::exchange(stopping, true)) scheduler.stop_admitting();
    while (!scheduler.done() && !stop.abandoned() &&
           static_cast<int32_t>(in_flight.size()) < engine.max_steps_in_flight()) {
      StepPlan plan = scheduler.next_step();
      if (in_flight.empty()) timer.lap();
      in_flight.push_back(std::move(plan));
      engine.submit(in_flight.back());
    }
    if (in_flight.empty()) return busy_s;
    const StepResult result = engine.wait();
    busy_s += timer.lap();
    stop.add_unwritten();
    scheduler.commit(result, sink);
    after_step(in_flight.front());
    in_flight.pop_front();
  }
}

}  // namespace prefold
