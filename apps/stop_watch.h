// Watches over a run from a thread of its own: signals and the clock.
#pragma once

#include <csignal>
#include <functional>
#include <optional>
#include <thread>

#include "run/stop_control.h"

namespace prefold {

struct StopTimes {
  std::optional<double> time_limit_s;  // from the watch's start
  double grace_s = 10;                 // for what runs, once the run is to stop
};

// SIGINT, SIGTERM, SIGHUP or the time limit: the run is told to stop, and after the grace period to
// abandon what still runs; a second signal does the latter at once. If the run does not end soon
// after (it is in a long step, or loading), or at a third signal, `force_exit` is called, when all
// finished answers are with the kernel: it must end the process. A signal that was ignored when the
// program started (nohup) stays so.
class StopWatch {
 public:
  // Blocks the signals in this thread and those it starts from now on: construct it before others.
  StopWatch(StopControl& stop, const StopTimes& times, std::function<void()> force_exit);
  ~StopWatch();
  StopWatch(const StopWatch&) = delete;
  StopWatch& operator=(const StopWatch&) = delete;

 private:
  void watch();

  StopControl& stop_;
  const StopTimes times_;
  const std::function<void()> force_exit_;
  sigset_t signals_;
  sigset_t mask_before_;
  int signal_fd_ = -1;
  int wake_fd_ = -1;    // eventfd: the watch is over
  std::thread thread_;  // last: it uses the others
};

}  // namespace prefold
