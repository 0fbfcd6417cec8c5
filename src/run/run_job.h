// The main job, from files to files: read, plan, load, run, write.
#pragma once

#include <functional>
#include <string>

#include "report/metrics.h"
#include "report/note.h"
#include "report/progress.h"
#include "run/options.h"
#include "run/stop_control.h"

namespace prefold {

enum class ExitStatus { kAllAnswered = 0, kSomeFailed = 1, kCannotRun = 2, kStopped = 3 };

// What a run says while it goes on; the library itself never prints.
struct RunHooks {
  std::function<void(const Note& note)> info;
  std::function<void(const ProgressCounts& counts)> progress;          // after each step
  std::function<void(const ReadingCounts& counts)> reading = nullptr;  // while lines are read
  // What had been counted when the run ended in an error, which is thrown next.
  std::function<void(const RunMetrics& metrics)> failed = nullptr;
  StopControl* stop = nullptr;  // none: it goes on to its end
};

struct RunOutcome {
  ExitStatus status = ExitStatus::kAllAnswered;
  RunMetrics metrics;
  bool nothing_to_do = false;   // every line had its result already; metrics are of no run
  bool can_be_resumed = false;  // of kStopped
};

// Throws Error if the run cannot start or finish; results written so far stay, and where
// run/job_output.h can continue them, a run with options.resume does. options.time_limit_s and
// grace_s are for whoever holds hooks.stop.
RunOutcome run_job(const RunOptions& options, const RunHooks& hooks);

}  // namespace prefold
