// How a run is told to stop early, from another thread, and how far it is with that.
#pragma once

#include <atomic>
#include <cstdint>

namespace prefold {

enum class StopReason { kNone, kSignal, kTimeLimit };

// The run looks at it between steps, batches of lines and phases; it knows no clock and no signal.
// From any thread.
class StopControl {
 public:
  // No more work is begun; what runs may end. The first reason counts. signal: its number, if that
  // is the reason.
  void stop(StopReason reason, int signal = 0) {
    StopReason none = StopReason::kNone;
    if (reason_.compare_exchange_strong(none, reason)) signal_ = signal;
  }

  // What still runs is given up after the current step.
  void abandon() { abandoned_ = true; }

  bool stopping() const { return reason_ != StopReason::kNone; }
  bool abandoned() const { return abandoned_; }
  StopReason reason() const { return reason_; }
  int signal() const { return signal_; }

  // Whether every answer that was finished is with the kernel, so that the process may be ended
  // here and now without losing one. The run counts steps whose answers are not.
  bool all_written() const { return n_unwritten_ == 0; }
  void add_unwritten() { ++n_unwritten_; }
  void drop_unwritten(int64_t n) { n_unwritten_ -= n; }

 private:
  std::atomic<StopReason> reason_ = StopReason::kNone;
  std::atomic<int> signal_ = 0;
  std::atomic<bool> abandoned_ = false;
  std::atomic<int64_t> n_unwritten_ = 0;
};

}  // namespace prefold
