// The run's figures for Prometheus: a file for node_exporter's textfile collector, in the text
// exposition format 0.0.4 (docs/formats.md, "Metrics").
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "report/metrics.h"
#include "report/progress.h"

namespace prefold {

// How a run ended; the words are the values of the label `reason`.
enum class RunEnd { kAllAnswered, kSomeFailed, kCannotRun, kStopped };

struct MetricsSnapshot {
  std::string run;      // tells the runs of one machine apart
  std::string version;  // of prefold
  double start_unix_s = 0;
  std::optional<double> last_success_unix_s;  // when this run or an earlier one answered all
  int64_t peak_rss_bytes = 0;
  ReadingCounts reading;
  ProgressCounts progress;
  double now_unix_s = 0;
  std::optional<RunEnd> end;  // none while it goes on
};

// Ends in a line end; within it, each metric has its HELP and TYPE.
std::string metrics_text(const MetricsSnapshot& snapshot);

// Rewrites the file every now and then. It is always whole: each version is written beside it, as
// .NAME.PID, and renamed. Several threads may call.
class MetricsFile {
 public:
  static constexpr double kIntervalS = 10.0;

  // Writes the first version, so that a path that cannot be written is an Error before any work.
  // The time of the last success is taken from a file that is there already. `run` is the file's
  // name without its last suffix.
  MetricsFile(const std::string& path, const std::string& version, double now_unix_s);

  // Written if kIntervalS has passed. A disk that is full meanwhile is no reason to stop: the file
  // stays as it was, and the next time may be better.
  void update(const ReadingCounts& counts, double now_unix_s);
  void update(const ProgressCounts& counts, double now_unix_s);

  // The run's own final counts, which later updates no longer change.
  void update_last(const RunMetrics& metrics);

  // The last version: what is called after it changes nothing. Returns whether it could be written.
  bool finish(RunEnd end, double now_unix_s);

  const MetricsSnapshot& snapshot() const { return snapshot_; }

 private:
  void update(double now_unix_s);
  bool write(std::string& why_not) const;

  std::string path_;
  MetricsSnapshot snapshot_;
  double written_unix_s_ = 0;
  std::mutex mutex_;
};

}  // namespace prefold
