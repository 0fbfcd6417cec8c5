// How far a run is: a bar redrawn in place on a terminal, plain lines in a log, or nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace prefold {

enum class ProgressMode { kQuiet, kLines, kBar };

struct ProgressCounts {
  int64_t requests_done = 0;  // answered or failed
  int64_t requests_total = 0;
  int64_t output_tokens = 0;
};

// Of the input, while it is read and tokenised.
struct ReadingCounts {
  int64_t lines = 0;
  int64_t prompt_tokens = 0;
};

// kBar if `stream` is a terminal (and TERM is not "dumb"), else kLines.
ProgressMode progress_mode_for(std::FILE* stream);

// "1240/5000 requests, 24.8 %, 812 output tokens/s, 0:41 left". remaining_s below 0: not known yet.
std::string progress_line(const ProgressCounts& counts, double output_tokens_per_s,
                          double remaining_s);

// The same with a bar in front, at most n_columns wide.
std::string progress_bar(const ProgressCounts& counts, double output_tokens_per_s,
                         double remaining_s, int32_t n_columns);

// "reading: 120000 lines, 12.0 M prompt tokens, 3.10 M tokens/s"; without tokens, the lines alone.
std::string reading_line(const ReadingCounts& counts, double tokens_per_s);

class Progress {
 public:
  static constexpr double kBarIntervalS = 0.1;
  static constexpr double kLineIntervalS = 5.0;
  static constexpr double kRateWindowS = 10.0;

  // Writes to `stream`, which must outlive it. n_columns: the terminal's width; 0 asks the
  // terminal at each redraw.
  Progress(std::FILE* stream, ProgressMode mode, int32_t n_columns = 0);

  // now_s: a clock that never goes back, in seconds; the first call starts the run's time. Draws if
  // the interval of its mode has passed. Cheap enough to be called after every step.
  void update(const ProgressCounts& counts, double now_s);

  // The same while the input is read, before the first update.
  void update_reading(const ReadingCounts& counts, double now_s);

  // Wipes the bar, so that other text can be written; the next update draws it again.
  void clear();

  // Draws the last state, with the rate over the whole time, and ends the bar's line.
  void finish(const ProgressCounts& counts, double now_s);

 private:
  void draw(const ProgressCounts& counts, double output_tokens_per_s, double remaining_s);
  void write_line(const std::string& line);
  void write_bar(const std::string& bar);
  double interval_s() const;
  int32_t columns() const;
  double recent_rate(int64_t output_tokens, double now_s);

  // Output so far at past moments, a ring that spans kRateWindowS.
  struct Mark {
    double at_s;
    int64_t output_tokens;
  };
  static constexpr size_t kMarks = 16;

  std::FILE* stream_;
  ProgressMode mode_;
  int32_t n_columns_;
  bool started_ = false;
  bool reading_ = false;
  double reading_start_s_ = 0;
  bool bar_shown_ = false;
  double start_s_ = 0;
  double last_drawn_s_ = 0;
  std::array<Mark, kMarks> marks_{};
  size_t n_marks_ = 0;  // ever set; mark i is in marks_[i % kMarks]
};

}  // namespace prefold
