#include "report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "report/human_numbers.h"

namespace prefold {
namespace {

constexpr int32_t kDefaultColumns = 80;
constexpr int32_t kMaxBarColumns = 30;
constexpr int32_t kMinBarColumns = 5;
constexpr const char* kWipeLine = "\r\x1b[K";

int32_t terminal_columns(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

// From the share of requests done. Below 0: no request is done yet.
double remaining(const ProgressCounts& counts, double elapsed_s) {
  if (counts.requests_done <= 0) return -1;
  const double done = static_cast<double>(counts.requests_done);
  return elapsed_s * (static_cast<double>(counts.requests_total) - done) / done;
}

}  // namespace

ProgressMode progress_mode_for(std::FILE* stream) {
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return isatty(fileno(stream)) != 0 && !dumb ? ProgressMode::kBar : ProgressMode::kLines;
}

std::string progress_line(const ProgressCounts& counts, double output_tokens_per_s,
                          double remaining_s) {
  std::string line = fmt::format(
      "{}/{} requests, {}, {} output tokens/s", counts.requests_done, counts.requests_total,
      human_percent(counts.requests_done, counts.requests_total), human_rate(output_tokens_per_s));
  if (remaining_s >= 0) line += fmt::format(", {} left", human_clock(remaining_s));
  return line;
}

std::string progress_bar(const ProgressCounts& counts, double output_tokens_per_s,
                         double remaining_s, int32_t n_columns) {
  const std::string line = progress_line(counts, output_tokens_per_s, remaining_s);
  const auto n_free = n_columns - static_cast<int32_t>(line.size()) - 3;  // brackets and a space
  if (n_free < kMinBarColumns) {
    return line.substr(0, static_cast<size_t>(std::max(n_columns, 0)));
  }
  const auto width = static_cast<size_t>(std::min(n_free, kMaxBarColumns));
  const double share = counts.requests_total > 0 ? static_cast<double>(counts.requests_done) /
                                                       static_cast<double>(counts.requests_total)
                                                 : 0.0;
  const auto n_full = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  return fmt::format("[{}{}] {}", std::string(n_full, '#'), std::string(width - n_full, '.'), line);
}

std::string reading_line(const ReadingCounts& counts, double tokens_per_s) {
  if (counts.prompt_tokens == 0) return fmt::format("reading: {} lines", counts.lines);
  return fmt::format("reading: {} lines, {} prompt tokens, {} tokens/s", counts.lines,
                     human_rate(static_cast<double>(counts.prompt_tokens)),
                     human_rate(tokens_per_s));
}

Progress::Progress(std::FILE* stream, ProgressMode mode, int32_t n_columns)
    : stream_(stream), mode_(mode), n_columns_(n_columns) {}

void Progress::update(const ProgressCounts& counts, double now_s) {
  if (mode_ == ProgressMode::kQuiet) return;
  const bool bar = mode_ == ProgressMode::kBar;
  if (!started_) {
    started_ = true;
    start_s_ = last_drawn_s_ = now_s;
    marks_[0] = {now_s, counts.output_tokens};
    n_marks_ = 1;
    if (bar) draw(counts, 0, -1);
    return;
  }
  if (now_s - last_drawn_s_ < interval_s()) return;
  last_drawn_s_ = now_s;
  draw(counts, recent_rate(counts.output_tokens, now_s), remaining(counts, now_s - start_s_));
}

void Progress::update_reading(const ReadingCounts& counts, double now_s) {
  if (mode_ == ProgressMode::kQuiet) return;
  if (!reading_) {
    reading_ = true;
    reading_start_s_ = last_drawn_s_ = now_s;
    return;
  }
  if (now_s - last_drawn_s_ < interval_s()) return;
  last_drawn_s_ = now_s;
  const std::string line =
      reading_line(counts, static_cast<double>(counts.prompt_tokens) / (now_s - reading_start_s_));
  if (mode_ == ProgressMode::kLines) {
    write_line(line);
  } else {
    write_bar(line.substr(0, static_cast<size_t>(std::max(columns(), 0))));
  }
}

double Progress::interval_s() const {
  return mode_ == ProgressMode::kBar ? kBarIntervalS : kLineIntervalS;
}

// One column stays free: a full line would wrap on some terminals.
int32_t Progress::columns() const {
  return (n_columns_ > 0 ? n_columns_ : terminal_columns(stream_)) - 1;
}

void Progress::draw(const ProgressCounts& counts, double output_tokens_per_s, double remaining_s) {
  if (mode_ == ProgressMode::kLines) {
    write_line(progress_line(counts, output_tokens_per_s, remaining_s));
  } else {
    write_bar(progress_bar(counts, output_tokens_per_s, remaining_s, columns()));
  }
}

// A terminal or log that cannot be written is no reason to stop: errors are left alone.
void Progress::write_line(const std::string& line) {
  std::fputs((line + "\n").c_str(), stream_);
  std::fflush(stream_);
}

void Progress::write_bar(const std::string& bar) {
  std::fputs((kWipeLine + bar).c_str(), stream_);
  bar_shown_ = true;
  std::fflush(stream_);
}

// Over the last kRateWindowS, so that a long prefill at the start does not weigh for ever.
double Progress::recent_rate(int64_t output_tokens, double now_s) {
  const size_t n_kept = std::min(n_marks_, kMarks);
  Mark oldest = marks_[(n_marks_ - 1) % kMarks];
  for (size_t i = n_marks_ - n_kept; i < n_marks_; ++i) {
    if (now_s - marks_[i % kMarks].at_s > kRateWindowS) continue;
    oldest = marks_[i % kMarks];
    break;
  }
  if (now_s - marks_[(n_marks_ - 1) % kMarks].at_s >= kRateWindowS / (kMarks - 1)) {
    marks_[n_marks_ % kMarks] = {now_s, output_tokens};
    n_marks_ += 1;
  }
  const double window_s = now_s - oldest.at_s;
  return window_s > 0 ? static_cast<double>(output_tokens - oldest.output_tokens) / window_s : 0.0;
}

void Progress::clear() {
  if (!bar_shown_) return;
  std::fputs(kWipeLine, stream_);
  std::fflush(stream_);
  bar_shown_ = false;
}

void Progress::finish(const ProgressCounts& counts, double now_s) {
  if (mode_ == ProgressMode::kQuiet || !started_) return;
  const double elapsed_s = now_s - start_s_;
  draw(counts, elapsed_s > 0 ? static_cast<double>(counts.output_tokens) / elapsed_s : 0, -1);
  if (mode_ == ProgressMode::kBar) {
    std::fputc('\n', stream_);
    std::fflush(stream_);
    bar_shown_ = false;
  }
}

}  // namespace prefold
