// What `prefold run` says on standard error, as text for people or as JSON lines for a log: the one
// place that decides how it looks (docs/formats.md, "Log lines").
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "report/metrics.h"
#include "report/note.h"
#include "report/progress.h"

namespace prefold {

// "2026-11-26T04:35:01.123Z".
std::string rfc3339_utc(std::chrono::system_clock::time_point time);

// The note as one or more whole lines. As JSON: one object of time, level, event, message, fields;
// bytes that are not UTF-8 become U+FFFD.
std::string log_text(const Note& note, LogFormat format,
                     std::chrono::system_clock::time_point time);

// Writes them. On a terminal, text comes with a progress bar.
class RunLog {
 public:
  // quiet: errors only. `stream` must outlive this.
  RunLog(std::FILE* stream, LogFormat format, bool quiet);
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void note(const Note& note);
  void progress(const ProgressCounts& counts, double now_s) { progress_.update(counts, now_s); }
  void reading(const ReadingCounts& counts, double now_s) {
    progress_.update_reading(counts, now_s);
  }
  void finish_progress(const ProgressCounts& counts, double now_s) {
    progress_.finish(counts, now_s);
  }

  // Wipes the bar, so that others can write.
  void clear() { progress_.clear(); }

  // Why the run ended before its job was done; said even if quiet.
  void stopped(const Note& note);

  // What ended the run: event "error".
  void error(const std::string& message);

  // The run's end: event "summary", with the figures of its report but for those that are long.
  void summary(const RunMetrics& metrics, int exit_status);

 private:
  std::FILE* stream_;
  LogFormat format_;
  bool quiet_;
  Progress progress_;
};

}  // namespace prefold
