#include "report/metrics_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace prefold {
namespace {

constexpr const char* kLastSuccess = "prefold_last_success_timestamp_seconds";

const char* word_of(RunEnd end) {
  switch (end) {
    case RunEnd::kAllAnswered:
      return "all_answered";
    case RunEnd::kSomeFailed:
      return "some_failed";
    case RunEnd::kCannotRun:
      return "cannot_run";
    case RunEnd::kStopped:
      return "stopped";
  }
  return "";
}

// A label's value: backslashes, quotes and line ends escaped. The format is UTF-8: other bytes
// become U+FFFD.
std::string escaped(const std::string& value) {
  using Json = nlohmann::json;
  const std::string valid =
      Json::parse(Json(value).dump(-1, ' ', false, Json::error_handler_t::replace));
  std::string text;
  for (const char c : valid) {
    if (c == '\\') {
      text += "\\\\";
    } else if (c == '"') {
      text += "\\\"";
    } else if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

class Exposition {
 public:
  explicit Exposition(const std::string& run) : run_(fmt::format("run=\"{}\"", escaped(run))) {}

  void family(const char* name, const char* type, const char* help) {
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
    name_ = name;
  }

  // labels: further ones, as `a="b"`.
  void sample(double value, const std::string& labels = "") {
    text_ += fmt::format("{}{{{}{}{}}} {}\n", name_, run_, labels.empty() ? "" : ",", labels,
                         std::isfinite(value) ? fmt::format("{}", value) : "NaN");
  }
  void sample(int64_t value, const std::string& labels = "") {
    text_ +=
        fmt::format("{}{{{}{}{}}} {}\n", name_, run_, labels.empty() ? "" : ",", labels, value);
  }

  template <typename T>
  void single(const char* name, const char* type, const char* help, T value) {
    family(name, type, help);
    sample(value);
  }

  std::string take() { return std::move(text_); }

 private:
  std::string run_;
  const char* name_ = "";
  std::string text_;
};

void add_work(const MetricsSnapshot& snapshot, Exposition& out) {
  const ProgressCounts& done = snapshot.progress;
  out.single("prefold_input_lines_total", "counter", "Input lines read.", snapshot.reading.lines);
  out.single("prefold_job_requests", "gauge", "Requests of the job, failed lines included.",
             done.requests_total);
  out.family("prefold_requests_total", "counter", "Requests done, by result.");
  out.sample(done.requests_done - done.requests_failed, "result=\"succeeded\"");
  out.sample(done.requests_failed, "result=\"failed\"");
  out.single("prefold_prompt_tokens_computed_total", "counter",
             "Prompt tokens that went through the model; shared ones count once.",
             done.prompt_tokens);
  out.single("prefold_output_tokens_total", "counter", "Tokens sampled.", done.output_tokens);
  out.single("prefold_steps_total", "counter", "Forward passes.", done.n_steps);
  out.single("prefold_running_sequences", "gauge", "Sequences that are being answered.",
             done.n_running);
  out.single("prefold_waiting_sequences", "gauge", "Sequences that have yet to begin.",
             done.n_waiting);
  out.single("prefold_kv_cache_used_bytes", "gauge", "KV cache in use.", done.kv_used_bytes);
  out.single("prefold_kv_cache_size_bytes", "gauge", "KV cache set aside.", done.kv_pool_bytes);
  if (done.remaining_s >= 0 && !snapshot.end) {
    out.single("prefold_remaining_seconds", "gauge",
               "Time that the run will still take, as predicted.", done.remaining_s);
  }
}

int64_t peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

// Of a file that metrics_text wrote; none if there is no such file or no such line.
std::optional<double> last_success_in(const std::string& path) {
  std::ifstream file(path);
  std::optional<double> found;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kLastSuccess)) continue;
    const size_t space = line.rfind("} ");
    if (space == std::string::npos) continue;
    char* end = nullptr;
    const double value = std::strtod(line.c_str() + space + 2, &end);
    if (*end == '\0' && std::isfinite(value) && value > 0) found = value;
  }
  return found;
}

}  // namespace

std::string metrics_text(const MetricsSnapshot& snapshot) {
  Exposition out(snapshot.run);
  out.family("prefold_info", "gauge", "The program that runs.");
  out.sample(int64_t{1}, fmt::format("version=\"{}\"", escaped(snapshot.version)));
  out.single("prefold_run_active", "gauge", "1 while the run goes on, 0 when it has ended.",
             int64_t{snapshot.end ? 0 : 1});
  out.single("prefold_start_timestamp_seconds", "gauge", "When the run began.",
             snapshot.start_unix_s);
  out.single("prefold_update_timestamp_seconds", "gauge", "When these figures were taken.",
             snapshot.now_unix_s);
  add_work(snapshot, out);
  out.single("prefold_resident_memory_max_bytes", "gauge", "Largest resident memory so far.",
             snapshot.peak_rss_bytes);
  if (snapshot.end) {
    out.single("prefold_exit_status", "gauge", "The exit status that the run ended with.",
               static_cast<int64_t>(*snapshot.end));
    out.family("prefold_exit_reason", "gauge", "1 for how the run ended, 0 for the other ways.");
    for (const RunEnd end :
         {RunEnd::kAllAnswered, RunEnd::kSomeFailed, RunEnd::kCannotRun, RunEnd::kStopped}) {
      out.sample(int64_t{end == *snapshot.end ? 1 : 0}, fmt::format("reason=\"{}\"", word_of(end)));
    }
    out.single("prefold_end_timestamp_seconds", "gauge", "When the run ended.",
               snapshot.now_unix_s);
  }
  if (snapshot.last_success_unix_s) {
    out.single(kLastSuccess, "gauge", "When a run with this file last answered every request.",
               *snapshot.last_success_unix_s);
  }
  return out.take();
}

MetricsFile::MetricsFile(const std::string& path, const std::string& version, double now_unix_s)
    : path_(path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Error(fmt::format("--metrics {}: not a file", path));
  }
  snapshot_.run = std::filesystem::path(path).stem().string();
  snapshot_.version = version;
  snapshot_.start_unix_s = snapshot_.now_unix_s = written_unix_s_ = now_unix_s;
  snapshot_.last_success_unix_s = last_success_in(path);
  snapshot_.peak_rss_bytes = peak_rss();
  std::string why_not;
  if (!write(why_not)) throw Error(fmt::format("--metrics {}: {}", path, why_not));
}

void MetricsFile::update(const ReadingCounts& counts, double now_unix_s) {
  const std::lock_guard lock(mutex_);
  snapshot_.reading = counts;
  update(now_unix_s);
}

void MetricsFile::update(const ProgressCounts& counts, double now_unix_s) {
  const std::lock_guard lock(mutex_);
  snapshot_.progress = counts;
  update(now_unix_s);
}

void MetricsFile::update(double now_unix_s) {
  // The wall clock may be set back.
  if (snapshot_.end || std::abs(now_unix_s - written_unix_s_) < kIntervalS) return;
  written_unix_s_ = snapshot_.now_unix_s = now_unix_s;
  snapshot_.peak_rss_bytes = peak_rss();
  std::string why_not;
  write(why_not);
}

void MetricsFile::update_last(const RunMetrics& metrics) {
  const std::lock_guard lock(mutex_);
  ProgressCounts& counts = snapshot_.progress;
  counts.requests_done = metrics.requests.succeeded + metrics.requests.failed;
  counts.requests_failed = metrics.requests.failed;
  counts.requests_total = metrics.requests.total;
  counts.prompt_tokens = metrics.tokens.prefill_computed;
  counts.n_steps = metrics.steps.count();
  counts.kv_pool_bytes = metrics.memory.kv_pool_bytes;
  snapshot_.reading = {std::max(snapshot_.reading.lines, metrics.requests.total),
                       metrics.tokens.prompt};
}

bool MetricsFile::finish(RunEnd end, double now_unix_s) {
  const std::lock_guard lock(mutex_);
  if (snapshot_.end) return true;
  snapshot_.end = end;
  snapshot_.now_unix_s = now_unix_s;
  snapshot_.peak_rss_bytes = peak_rss();
  snapshot_.progress.n_running = snapshot_.progress.n_waiting = 0;
  snapshot_.progress.kv_used_bytes = 0;
  if (end == RunEnd::kAllAnswered) snapshot_.last_success_unix_s = now_unix_s;
  std::string why_not;
  return write(why_not);
}

bool MetricsFile::write(std::string& why_not) const {
  const std::filesystem::path path(path_);
  const std::filesystem::path part =
      path.parent_path() / fmt::format(".{}.{}", path.filename().string(), getpid());
  const auto fail = [&](const char* what) {
    why_not = fmt::format("{} {}: {}", what, part.string(), std::strerror(errno));
    unlink(part.c_str());
    return false;
  };
  const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail("cannot create");
  const std::string text = metrics_text(snapshot_);
  size_t n_written = 0;
  while (n_written < text.size()) {
    const ssize_t n = ::write(fd, text.data() + n_written, text.size() - n_written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      close(fd);
      return fail("cannot write");
    }
    n_written += static_cast<size_t>(n);
  }
  if (close(fd) != 0) return fail("cannot write");
  if (rename(part.c_str(), path.c_str()) != 0) return fail("cannot rename");
  return true;
}

}  // namespace prefold
