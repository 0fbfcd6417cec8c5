// How far a run is: a bar redrawn in place on a terminal, plain lines in a log, or nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

#include "report/note.h"

namespace prefold {

enum class ProgressMode { kQuiet, kLines, kBar };

struct ProgressCounts {
  int64_t requests_done = 0;  // answered or failed
  int64_t requests_total = 0;
  int64_t output_tokens = 0;
  int64_t requests_failed = 0;  // of those done
  int64_t prompt_tokens = 0;    // computed
  int64_t n_steps = 0;
  int64_t n_running = 0;  // sequences: choices of requests, each distinct one once
  int64_t n_waiting = 0;  // sequences that have not begun, or gave their memory up
  int64_t kv_used_bytes = 0;
  int64_t kv_pool_bytes = 0;
  double remaining_s = -1;  // as predicted; below 0: not known
};

// Of the input, while it is read and tokenised.
struct ReadingCounts {
  int64_t lines = 0;
  int64_t prompt_tokens = 0;
};

// Over the last Progress::kRateWindowS.
struct ProgressRates {
  double output_tokens_per_s = 0;
  double prompt_tokens_per_s = 0;  // computed
};

// kBar if `stream` is a terminal (and TERM is not "dumb"), else kLines.
ProgressMode progress_mode_for(std::FILE* stream);

// How a bar is drawn.
struct BarStyle {
  bool utf8 = false;   // blocks, in eighths of a column; else # and .
  bool color = false;  // by ANSI escapes
};

// By the locale's variables (LC_ALL, LC_CTYPE, LANG) and NO_COLOR (https://no-color.org).
BarStyle bar_style_of_environment();

// "1240/5000 requests, 24.8 %, 812 output tokens/s, 0:41 left, 96 running, 3664 waiting, KV 37.0
// %". With "3.10 k prompt tokens/s" where more of the prompts is computed than of the answers. What
// is not known is left out.
std::string progress_line(const ProgressCounts& counts, const ProgressRates& rates);

// The same in short, behind a bar, at most n_columns wide: what matters least is left out first.
std::string progress_bar(const ProgressCounts& counts, const ProgressRates& rates,
                         int32_t n_columns, BarStyle style);

// "reading: 120000 lines, 12.0 M prompt tokens, 3.10 M tokens/s"; without tokens, the lines alone.
std::string reading_line(const ReadingCounts& counts, double tokens_per_s);

class Progress {
 public:
  static constexpr double kBarIntervalS = 0.1;
  // Between two lines of a log: a tenth of the time so far, within these bounds.
  static constexpr double kLineIntervalS = 5.0;
  static constexpr double kMaxLineIntervalS = 600.0;
  static constexpr double kRateWindowS = 10.0;

  // A log's next line: events "progress" and "reading".
  using WriteFn = std::function<void(const Note& note)>;

  // Lines go to `write`, the bar to `stream`, which must outlive this. n_columns: the terminal's
  // width; 0 asks the terminal at each redraw, so that it may be resized.
  Progress(std::FILE* stream, ProgressMode mode, WriteFn write, int32_t n_columns = 0,
           BarStyle style = bar_style_of_environment());

  // now_s: a clock that never goes back, in seconds; the first call starts the run's time. Draws if
  // the interval of its mode has passed. Cheap enough to be called after every step.
  void update(const ProgressCounts& counts, double now_s);

  // The same while the input is read, before the first update.
  void update_reading(const ReadingCounts& counts, double now_s);

  // Wipes the bar, so that other text can be written; the next update draws it again.
  void clear();

  // Draws the last state, with the rates over the whole time, and ends the bar's line.
  void finish(const ProgressCounts& counts, double now_s);

 private:
  void draw(const ProgressCounts& counts, const ProgressRates& rates);
  void write_bar(const std::string& bar);
  double interval_s(double elapsed_s) const;
  int32_t columns() const;
  ProgressRates recent_rates(const ProgressCounts& counts, double now_s);

  // What was computed at past moments, a ring that spans kRateWindowS.
  struct Mark {
    double at_s;
    int64_t output_tokens;
    int64_t prompt_tokens;
  };
  static constexpr size_t kMarks = 16;

  std::FILE* stream_;
  ProgressMode mode_;
  WriteFn write_;
  int32_t n_columns_;
  BarStyle style_;
  bool started_ = false;
  bool reading_ = false;
  double reading_start_s_ = 0;
  bool bar_shown_ = false;
  double start_s_ = 0;
  double last_drawn_s_ = 0;
  Mark first_{};  // not all of a resumed run's counts begin at 0
  std::array<Mark, kMarks> marks_{};
  size_t n_marks_ = 0;  // ever set; mark i is in marks_[i % kMarks]
};

}  // namespace prefold
