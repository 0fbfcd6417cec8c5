// The main job, from files to files: read, plan, load, run, write.
#pragma once

#include <functional>
#include <string>

#include "report/metrics.h"
#include "report/note.h"
#include "report/progress.h"
#include "run/options.h"

namespace prefold {

enum class ExitStatus { kAllAnswered = 0, kSomeFailed = 1, kCannotRun = 2 };

// What a run says while it goes on; the library itself never prints.
struct RunHooks {
  std::function<void(const Note& note)> info;
  std::function<void(const ProgressCounts& counts)> progress;          // after each step
  std::function<void(const ReadingCounts& counts)> reading = nullptr;  // while lines are read
};

struct RunOutcome {
  ExitStatus status = ExitStatus::kAllAnswered;
  RunMetrics metrics;
};

// Throws Error if the run cannot start or finish; results written so far stay.
RunOutcome run_job(const RunOptions& options, const RunHooks& hooks);

}  // namespace prefold
