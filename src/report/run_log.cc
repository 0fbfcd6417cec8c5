#include "report/run_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "report/report.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

const char* level_name(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "";
}

// Whole lines at once, so that those of two programs on one log do not mix. A log that cannot be
// written is no reason to stop.
void write(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

ProgressMode mode_for(std::FILE* stream, LogFormat format, bool quiet) {
  if (quiet) return ProgressMode::kQuiet;
  return format == LogFormat::kText ? progress_mode_for(stream) : ProgressMode::kLines;
}

}  // namespace

std::string rfc3339_utc(std::chrono::system_clock::time_point time) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const auto s = std::chrono::floor<std::chrono::seconds>(ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(s.count()), (ms - s).count());
}

std::string log_text(const Note& note, LogFormat format,
                     std::chrono::system_clock::time_point time) {
  if (format == LogFormat::kText) {
    switch (note.severity) {
      case Severity::kInfo:
        return note.text + "\n";
      case Severity::kWarning:
        return "warning: " + note.text + "\n";
      case Severity::kError:
        return "prefold: error: " + note.text + "\n";
    }
  }
  const Json line = {{"time", rfc3339_utc(time)},
                     {"level", level_name(note.severity)},
                     {"event", note.event},
                     {"message", note.text},
                     {"fields", note.fields}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

RunLog::RunLog(std::FILE* stream, LogFormat format, bool quiet)
    : stream_(stream),
      format_(format),
      quiet_(quiet),
      progress_(stream, mode_for(stream, format, quiet), [this](const Note& line) { note(line); }) {
}

void RunLog::note(const Note& note) {
  if (!quiet_ || note.severity == Severity::kError) stopped(note);
}

void RunLog::stopped(const Note& note) {
  progress_.clear();
  write(stream_, log_text(note, format_, std::chrono::system_clock::now()));
}

void RunLog::summary(const RunMetrics& metrics, int exit_status) {
  if (format_ == LogFormat::kText) {
    std::string table = summary_table(metrics);
    table.pop_back();  // its last line end
    note({"summary", std::move(table), Json::object()});
    return;
  }
  const Json report = make_report(metrics);
  Json fields = {{"exit_status", exit_status}};
  for (const char* key : {"requests", "tokens", "time_s", "engine", "op_time_s", "throughput",
                          "ttft_ms", "latency_ms", "memory_bytes", "kv_blocks"}) {
    fields[key] = report.at(key);
  }
  for (const char* key : {"ttft_ms", "latency_ms"}) fields[key].erase("histogram");
  note({"summary",
        fmt::format("{} answered, {} failed", metrics.requests.succeeded, metrics.requests.failed),
        std::move(fields)});
}

void RunLog::error(const std::string& message) {
  Note line("error", message, Json::object());
  line.severity = Severity::kError;
  note(line);
}

}  // namespace prefold
