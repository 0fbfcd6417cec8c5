#include "run/job_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace prefold {
namespace {

// A name for messages, if the input could not be read a second time.
std::optional<std::string> input_read_once(const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    if (input == "-") return "standard input (-i -)";
    struct stat status {};
    // One that is missing is the reader's matter.
    if (stat(input.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return input;
  }
  return std::nullopt;
}

ExistingOutput existing_output(const RunOptions& options) {
  if (options.resume) return ExistingOutput::kContinue;
  return options.overwrite ? ExistingOutput::kReplace : ExistingOutput::kRefuse;
}

bool is_empty(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) != 0 || status.st_size == 0;
}

void delete_file(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw Error(fmt::format("cannot delete {}: {}", path, std::strerror(errno)));
  }
}

void check_same_inputs(const std::vector<JournalInput>& begun, const std::vector<FileDigest>& now) {
  CHECK(begun.size() == now.size());
  for (size_t i = 0; i < begun.size(); ++i) {
    if (begun[i].digest == now[i]) continue;
    throw Error(fmt::format(
        "cannot resume: {} has changed since the job was begun: it had {} bytes ({}), it has {} "
        "({}); --overwrite begins anew",
        begun[i].path, begun[i].digest.n_bytes, begun[i].digest.digest, now[i].n_bytes,
        now[i].digest));
  }
}

}  // namespace

void check_can_resume(const RunOptions& options) {
  if (!options.resume) return;
  if (options.overwrite) {
    throw Error("--resume keeps what the output holds, --overwrite drops it: give one of them");
  }
  if (options.output == "-") {
    throw Error("--resume: standard output (-o -) cannot be resumed; name a file");
  }
  struct stat status {};
  if (stat(options.output.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    throw Error(
        fmt::format("--resume: {} is no regular file and cannot be resumed", options.output));
  }
  if (const std::optional<std::string> input = input_read_once(options.inputs)) {
    throw Error(
        fmt::format("--resume: {} is no regular file: it can be read only once, so the job "
                    "cannot be resumed; put it into a file first",
                    *input));
  }
}

JobOutput::JobOutput(const RunOptions& options, Journal now)
    : output_(options.output, existing_output(options), options.inputs),
      finished_(std::make_unique<FinishedLines>()),
      job_(std::move(now)) {
  for (const std::string& path : options.inputs) job_.inputs.push_back({path, {}});
  job_.ordered = options.ordered;
  const bool is_file = output_.can_be_continued();
  if (is_file && !input_read_once(options.inputs)) {
    journal_path_ = journal_path(options.output);
    waiting_path_ = waiting_path(options.output);
  }
  output_.set_on_begin([this, is_file, path = options.output] {
    if (!is_file) return;
    delete_file(waiting_path(path));
    if (journal_path_) {
      write_journal(*journal_path_, job_);
    } else {
      delete_file(journal_path(path));  // of another job
    }
  });
  if (options.resume) load(options);
  if (!lines_ && options.ordered) {
    lines_ = std::make_unique<OrderedLines>(output_, waiting_path_, 0);
  }
}

// Whether answers are there is seen from the files of lines; the journal tells to what.
void JobOutput::load(const RunOptions& options) {
  CHECK(journal_path_);
  const ResultScan scan =
      scan_results(options.output, [&](const ResultHead& head) { finished_->add(head); });
  std::optional<Journal> begun = read_journal(*journal_path_);
  const bool others_wait = begun && begun->ordered && !is_empty(waiting_path_);
  if (scan.n_lines == 0 && !others_wait) return;
  if (!begun) {
    throw Error(fmt::format(
        "cannot resume: {} holds {} result lines, and there is no {} to tell of what job; "
        "--overwrite begins anew",
        options.output, scan.n_lines, *journal_path_));
  }
  if (!begun->n_lines) {  // nothing but error lines, which reading will find again
    finished_ = std::make_unique<FinishedLines>();
    return;
  }
  if (const std::vector<std::string> found = differences(*begun, job_); !found.empty()) {
    throw Error(
        fmt::format("cannot resume {}: the job was begun with something else: {}; "
                    "--overwrite begins anew",
                    options.output, fmt::join(found, "; ")));
  }
  std::vector<FileDigest> inputs;
  for (const std::string& path : options.inputs) inputs.push_back(digest_of_file(path));
  check_same_inputs(begun->inputs, inputs);

  job_ = std::move(*begun);
  resumed_ = true;
  scan_ = scan;
  output_.keep(scan.n_bytes, scan.lacks_line_end);
  if (!job_.ordered) return;
  lines_ = std::make_unique<OrderedLines>(output_, waiting_path_, scan.n_lines);
  lines_->load([&](const ResultHead& head) { finished_->add(head); });
}

bool JobOutput::is_complete() const {
  if (!resumed_ || finished_->size() != job_.n_lines) return false;
  return !job_.ordered || scan_.n_lines == job_.n_lines;
}

void JobOutput::write(int64_t line_idx, std::string_view line) {
  if (lines_) {
    lines_->write(line_idx, line);
  } else {
    output_.append_line(line);
  }
}

void JobOutput::all_read(const std::vector<FileDigest>& inputs, int64_t n_lines) {
  if (resumed_) {
    check_same_inputs(job_.inputs, inputs);
    flush();
    return;
  }
  if (!journal_path_) {
    flush();
    return;
  }
  sync();
  CHECK(inputs.size() == job_.inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) job_.inputs[i].digest = inputs[i];
  job_.n_lines = n_lines;
  if (output_.has_begun()) {
    write_journal(*journal_path_, job_);
  } else {
    output_.begin();
  }
}

void JobOutput::flush() {
  if (lines_) {
    lines_->flush();
  } else {
    output_.flush();
  }
}

bool JobOutput::is_synced() const { return lines_ ? lines_->is_synced() : output_.is_synced(); }

void JobOutput::sync() {
  if (lines_) {
    lines_->sync();
  } else {
    output_.sync();
  }
  last_sync_s_ = clock_.seconds();
}

void JobOutput::sync_now_and_then() {
  if (!is_synced() && clock_.seconds() - last_sync_s_ >= kSyncIntervalS) sync();
}

void JobOutput::close(bool complete) {
  if (!complete && !output_.has_begun()) return;
  sync();
  if (complete && lines_) lines_->remove_file();
  output_.close();
}

}  // namespace prefold
