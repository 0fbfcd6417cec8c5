#include "report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "report/human_numbers.h"

namespace prefold {
namespace {

constexpr int32_t kDefaultColumns = 80;
constexpr int32_t kMaxBarColumns = 30;
constexpr int32_t kMinBarColumns = 5;
constexpr const char* kWipeLine = "\r\x1b[K";
constexpr const char* kBarColor = "\x1b[36m";
constexpr const char* kPlainColor = "\x1b[0m";

int32_t terminal_columns(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

double share_done(const ProgressCounts& counts) {
  if (counts.requests_total <= 0) return 0.0;
  return std::clamp(
      static_cast<double>(counts.requests_done) / static_cast<double>(counts.requests_total), 0.0,
      1.0);
}

bool mostly_prompts(const ProgressRates& rates) {
  return rates.prompt_tokens_per_s > rates.output_tokens_per_s;
}

// `share` of n_columns in full blocks and one of so many eighths; without UTF-8 in # and dots.
std::string bar_of(double share, int32_t n_columns, BarStyle style) {
  static constexpr const char* kEighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double n_full = share * n_columns;
  const auto n_whole = static_cast<int32_t>(n_full);
  std::string bar;
  for (int32_t i = 0; i < n_columns; ++i) {
    if (!style.utf8) {
      bar += i < n_whole ? '#' : '.';
    } else if (i < n_whole) {
      bar += "█";
    } else {
      bar += kEighths[i == n_whole ? static_cast<int32_t>((n_full - n_whole) * 8) : 0];
    }
  }
  if (style.color) bar = kBarColor + bar + kPlainColor;
  return (style.utf8 ? "▕" : "[") + bar + (style.utf8 ? "▏" : "]");
}

// The parts of the text behind a bar, in their order on the line, each with how soon it gives way.
struct Part {
  std::string text;
  int rank;  // 0 stays longest
};

std::vector<Part> parts_of(const ProgressCounts& counts, const ProgressRates& rates) {
  std::vector<Part> parts{{human_percent(counts.requests_done, counts.requests_total), 3},
                          {fmt::format("{}/{}", counts.requests_done, counts.requests_total), 0},
                          {fmt::format("{} tok/s", human_rate(rates.output_tokens_per_s)), 2}};
  if (mostly_prompts(rates)) {
    parts.push_back({fmt::format("prompt {} tok/s", human_rate(rates.prompt_tokens_per_s)), 4});
  }
  if (counts.remaining_s >= 0) parts.push_back({human_clock(counts.remaining_s) + " left", 1});
  if (counts.n_running + counts.n_waiting > 0) {
    parts.push_back({fmt::format("{} running {} waiting", counts.n_running, counts.n_waiting), 5});
  }
  if (counts.kv_pool_bytes > 0) {
    parts.push_back({"KV " + human_percent(counts.kv_used_bytes, counts.kv_pool_bytes), 6});
  }
  return parts;
}

std::string joined(const std::vector<Part>& parts) {
  std::string text;
  for (const Part& part : parts) text += (text.empty() ? "" : "  ") + part.text;
  return text;
}

nlohmann::ordered_json progress_fields(const ProgressCounts& counts, const ProgressRates& rates) {
  nlohmann::ordered_json fields = {{"requests_done", counts.requests_done},
                                   {"requests_failed", counts.requests_failed},
                                   {"requests_total", counts.requests_total},
                                   {"output_tokens", counts.output_tokens},
                                   {"prompt_tokens_computed", counts.prompt_tokens},
                                   {"steps", counts.n_steps},
                                   {"output_tokens_per_s", rates.output_tokens_per_s},
                                   {"prompt_tokens_per_s", rates.prompt_tokens_per_s},
                                   {"running", counts.n_running},
                                   {"waiting", counts.n_waiting},
                                   {"kv_used_bytes", counts.kv_used_bytes},
                                   {"kv_pool_bytes", counts.kv_pool_bytes},
                                   {"remaining_s", nullptr}};
  if (counts.remaining_s >= 0) fields["remaining_s"] = counts.remaining_s;
  return fields;
}

}  // namespace

ProgressMode progress_mode_for(std::FILE* stream) {
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return isatty(fileno(stream)) != 0 && !dumb ? ProgressMode::kBar : ProgressMode::kLines;
}

BarStyle bar_style_of_environment() {
  BarStyle style;
  // The first of these that is set and not empty decides (POSIX, 8.2).
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string locale = value;
    std::transform(locale.begin(), locale.end(), locale.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    style.utf8 =
        locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
    break;
  }
  const char* no_color = std::getenv("NO_COLOR");
  style.color = no_color == nullptr || *no_color == '\0';
  return style;
}

std::string progress_line(const ProgressCounts& counts, const ProgressRates& rates) {
  std::string line =
      fmt::format("{}/{} requests, {}, {} output tokens/s", counts.requests_done,
                  counts.requests_total, human_percent(counts.requests_done, counts.requests_total),
                  human_rate(rates.output_tokens_per_s));
  if (mostly_prompts(rates)) {
    line += fmt::format(", {} prompt tokens/s", human_rate(rates.prompt_tokens_per_s));
  }
  if (counts.remaining_s >= 0) line += fmt::format(", {} left", human_clock(counts.remaining_s));
  if (counts.n_running + counts.n_waiting > 0) {
    line += fmt::format(", {} running, {} waiting", counts.n_running, counts.n_waiting);
  }
  if (counts.kv_pool_bytes > 0) {
    line += ", KV " + human_percent(counts.kv_used_bytes, counts.kv_pool_bytes);
  }
  return line;
}

std::string progress_bar(const ProgressCounts& counts, const ProgressRates& rates,
                         int32_t n_columns, BarStyle style) {
  std::vector<Part> parts = parts_of(counts, rates);
  const auto n_free = [&] {  // besides the bar's two ends and a space
    return n_columns - static_cast<int32_t>(joined(parts).size()) - 3;
  };
  while (parts.size() > 1 && n_free() < kMinBarColumns) {
    parts.erase(std::max_element(parts.begin(), parts.end(),
                                 [](const Part& a, const Part& b) { return a.rank < b.rank; }));
  }
  const std::string text = joined(parts);
  if (n_free() < kMinBarColumns) return text.substr(0, static_cast<size_t>(std::max(n_columns, 0)));
  return bar_of(share_done(counts), std::min(n_free(), kMaxBarColumns), style) + " " + text;
}

std::string reading_line(const ReadingCounts& counts, double tokens_per_s) {
  if (counts.prompt_tokens == 0) return fmt::format("reading: {} lines", counts.lines);
  return fmt::format("reading: {} lines, {} prompt tokens, {} tokens/s", counts.lines,
                     human_rate(static_cast<double>(counts.prompt_tokens)),
                     human_rate(tokens_per_s));
}

Progress::Progress(std::FILE* stream, ProgressMode mode, WriteFn write, int32_t n_columns,
                   BarStyle style)
    : stream_(stream),
      mode_(mode),
      write_(std::move(write)),
      n_columns_(n_columns),
      style_(style) {}

void Progress::update(const ProgressCounts& counts, double now_s) {
  if (mode_ == ProgressMode::kQuiet) return;
  if (!started_) {
    started_ = true;
    start_s_ = last_drawn_s_ = now_s;
    first_ = marks_[0] = {now_s, counts.output_tokens, counts.prompt_tokens};
    n_marks_ = 1;
    if (mode_ == ProgressMode::kBar) draw(counts, {});
    return;
  }
  if (now_s - last_drawn_s_ < interval_s(now_s - start_s_)) return;
  last_drawn_s_ = now_s;
  draw(counts, recent_rates(counts, now_s));
}

void Progress::update_reading(const ReadingCounts& counts, double now_s) {
  if (mode_ == ProgressMode::kQuiet) return;
  if (!reading_) {
    reading_ = true;
    reading_start_s_ = last_drawn_s_ = now_s;
    return;
  }
  if (now_s - last_drawn_s_ < interval_s(now_s - reading_start_s_)) return;
  last_drawn_s_ = now_s;
  const double rate = static_cast<double>(counts.prompt_tokens) / (now_s - reading_start_s_);
  const std::string line = reading_line(counts, rate);
  if (mode_ == ProgressMode::kLines) {
    write_({"reading",
            line,
            {{"lines", counts.lines},
             {"prompt_tokens", counts.prompt_tokens},
             {"tokens_per_s", rate}}});
  } else {
    write_bar(line.substr(0, static_cast<size_t>(std::max(columns(), 0))));
  }
}

double Progress::interval_s(double elapsed_s) const {
  if (mode_ == ProgressMode::kBar) return kBarIntervalS;
  return std::clamp(elapsed_s / 10, kLineIntervalS, kMaxLineIntervalS);
}

// One column stays free: a full line would wrap on some terminals.
int32_t Progress::columns() const {
  return (n_columns_ > 0 ? n_columns_ : terminal_columns(stream_)) - 1;
}

void Progress::draw(const ProgressCounts& counts, const ProgressRates& rates) {
  if (mode_ == ProgressMode::kLines) {
    write_({"progress", progress_line(counts, rates), progress_fields(counts, rates)});
  } else {
    write_bar(progress_bar(counts, rates, columns(), style_));
  }
}

// A terminal that cannot be written is no reason to stop: errors are left alone.
void Progress::write_bar(const std::string& bar) {
  std::fputs((kWipeLine + bar).c_str(), stream_);
  bar_shown_ = true;
  std::fflush(stream_);
}

// Over the last kRateWindowS, so that a long prefill at the start does not weigh for ever.
ProgressRates Progress::recent_rates(const ProgressCounts& counts, double now_s) {
  const size_t n_kept = std::min(n_marks_, kMarks);
  Mark oldest = marks_[(n_marks_ - 1) % kMarks];
  for (size_t i = n_marks_ - n_kept; i < n_marks_; ++i) {
    if (now_s - marks_[i % kMarks].at_s > kRateWindowS) continue;
    oldest = marks_[i % kMarks];
    break;
  }
  if (now_s - marks_[(n_marks_ - 1) % kMarks].at_s >= kRateWindowS / (kMarks - 1)) {
    marks_[n_marks_ % kMarks] = {now_s, counts.output_tokens, counts.prompt_tokens};
    n_marks_ += 1;
  }
  const double window_s = now_s - oldest.at_s;
  if (window_s <= 0) return {};
  return {static_cast<double>(counts.output_tokens - oldest.output_tokens) / window_s,
          static_cast<double>(counts.prompt_tokens - oldest.prompt_tokens) / window_s};
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
  ProgressRates rates;
  if (elapsed_s > 0) {
    rates = {static_cast<double>(counts.output_tokens - first_.output_tokens) / elapsed_s,
             static_cast<double>(counts.prompt_tokens - first_.prompt_tokens) / elapsed_s};
  }
  ProgressCounts last = counts;
  last.remaining_s = -1;
  draw(last, rates);
  if (mode_ == ProgressMode::kBar) {
    std::fputc('\n', stream_);
    std::fflush(stream_);
    bar_shown_ = false;
  }
}

}  // namespace prefold
