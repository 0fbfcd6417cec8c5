// Where a job's result lines go, and what a later run needs to continue it: the results file, the
// journal beside it and, with --ordered, the lines that wait for earlier ones.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/timer.h"
#include "io/finished_lines.h"
#include "io/ordered_lines.h"
#include "io/output_file.h"
#include "run/journal.h"
#include "run/options.h"

namespace prefold {

// Throws Error if the command line asks for what cannot be: to continue an output or inputs that
// are no files (standard input, pipes), or --resume beside --overwrite. Before anything is opened.
void check_can_resume(const RunOptions& options);

class JobOutput {
 public:
  // Opens and locks the output. `now`: this run's job, but for inputs and order. With
  // options.resume and something finished there: reads what is, checks that it is this job's, and
  // cuts off a torn end. Throws Error: as OutputFile; no journal; another job's, with every
  // difference named. check_can_resume has passed.
  JobOutput(const RunOptions& options, Journal now);

  // The job as it was begun: by an earlier run, where this one continues it.
  const Journal& job() const { return job_; }
  bool is_resumed() const { return resumed_; }

  // A later run with --resume could go on from here.
  bool can_be_resumed() const { return journal_path_.has_value(); }

  // What earlier runs have finished: their lines, until drop_finished; and what of the output's end
  // was no whole line.
  const FinishedLines& finished() const { return *finished_; }
  void drop_finished() { finished_.reset(); }
  const ResultScan& scan() const { return scan_; }

  // Every line of input has its result in the output.
  bool is_complete() const;

  // A result line, and the place of its line among all of the inputs'.
  void write(int64_t line_idx, std::string_view line);

  // All inputs have been read, with these contents, and all their error lines written: those are
  // made durable, then the journal says so. Answers may follow. Throws Error if the inputs of a
  // continued job have changed.
  void all_read(const std::vector<FileDigest>& inputs, int64_t n_lines);

  // Hands what was written to the kernel: from then on the end of the process loses none of it.
  void flush();

  // Makes it durable: a loss of power loses none of it either. The second only if the last time is
  // kSyncIntervalS ago.
  static constexpr double kSyncIntervalS = 5.0;
  void sync();
  void sync_now_and_then();
  bool is_synced() const;

  // sync, and no more lines will come. complete: every line has its result. Otherwise a file that
  // was to be replaced, and to which nothing has been written, is left as it is.
  void close(bool complete);

 private:
  void load(const RunOptions& options);

  OutputFile output_;
  std::optional<std::string> journal_path_;
  std::string waiting_path_;             // empty if it cannot be resumed
  std::unique_ptr<OrderedLines> lines_;  // with --ordered
  std::unique_ptr<FinishedLines> finished_;
  ResultScan scan_;
  Journal job_;
  bool resumed_ = false;
  Timer clock_;
  double last_sync_s_ = 0;
};

}  // namespace prefold
