#include "report/progress.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>

namespace prefold {
namespace {

// What `use` makes a Progress write.
std::string written(ProgressMode mode, const std::function<void(Progress&)>& use) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    const auto write = [&](const Note& note) { std::fputs((note.text + "\n").c_str(), file); };
    Progress progress(file, mode, write, 60, BarStyle{});
    use(progress);
  }
  std::string text(static_cast<size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  REQUIRE(std::fread(text.data(), 1, text.size(), file) == text.size());
  std::fclose(file);
  return text;
}

ProgressCounts in_the_middle() {
  ProgressCounts counts{1240, 5000, 9};
  counts.remaining_s = 41.2;
  counts.n_running = 96;
  counts.n_waiting = 3664;
  counts.kv_used_bytes = 37;
  counts.kv_pool_bytes = 100;
  return counts;
}

// Columns that a text takes: code points, no escapes.
int32_t width(const std::string& text) {
  int32_t n = 0;
  bool in_escape = false;
  for (const char c : text) {
    if (c == '\x1b') in_escape = true;
    if (!in_escape && (static_cast<unsigned char>(c) & 0xc0) != 0x80) ++n;
    if (in_escape && c == 'm') in_escape = false;
  }
  return n;
}

TEST_CASE("a progress line: done, share, speed, time left, what runs and waits, memory") {
  CHECK(progress_line(in_the_middle(), {812, 40}) ==
        "1240/5000 requests, 24.8 %, 812 output tokens/s, 0:41 left, 96 running, 3664 waiting, "
        "KV 37.0 %");
  CHECK(progress_line({0, 5000, 0}, {}) == "0/5000 requests, 0.0 %, 0.00 output tokens/s");
  CHECK(progress_line({0, 5000, 0}, {10, 3100}) ==
        "0/5000 requests, 0.0 %, 10.0 output tokens/s, 3.10 k prompt tokens/s");
}

TEST_CASE("a bar fits every terminal; what matters least gives way first") {
  const ProgressCounts counts = in_the_middle();
  const ProgressRates rates{812, 3100};
  const std::string all =
      "24.8 %  1240/5000  812 tok/s  prompt 3.10 k tok/s  0:41 left  96 running 3664 waiting  "
      "KV 37.0 %";
  CHECK(progress_bar(counts, rates, 200, {}) ==
        "[" + std::string(7, '#') + std::string(23, '.') + "] " + all);
  CHECK(progress_bar(counts, rates, 80, {}) ==
        "[####.............] 24.8 %  1240/5000  812 tok/s  prompt 3.10 k tok/s  0:41 left");
  CHECK(progress_bar(counts, rates, 40, {}) == "[#.....] 1240/5000  812 tok/s  0:41 left");
  CHECK(progress_bar(counts, rates, 30, {}) == "[#......] 1240/5000  0:41 left");
  CHECK(progress_bar(counts, rates, 17, {}) == "[#....] 1240/5000");
  CHECK(progress_bar(counts, rates, 9, {}) == "1240/5000");
  CHECK(progress_bar(counts, rates, 4, {}) == "1240");
  CHECK(progress_bar(counts, rates, -1, {}).empty());
  CHECK(progress_bar({5, 0, 0}, {}, 200, {}).starts_with("[....."));
  for (const bool utf8 : {false, true}) {
    for (int32_t n_columns = 0; n_columns < 160; ++n_columns) {
      CHECK(width(progress_bar(counts, rates, n_columns, {utf8, true})) <= n_columns);
    }
  }
}

TEST_CASE("a bar of blocks has eighths of a column, and colour where it is wanted") {
  ProgressCounts counts{0, 80, 0};
  CHECK(progress_bar(counts, {}, 36, {true, false}) == "▕          ▏ 0.0 %  0/80  0.00 tok/s");
  counts.requests_done = 11;
  CHECK(progress_bar(counts, {}, 38, {true, false}) == "▕█▍        ▏ 13.8 %  11/80  0.00 tok/s");
  counts.requests_done = 80;
  CHECK(progress_bar(counts, {}, 39, {true, true}) ==
        "▕\x1b[36m██████████\x1b[0m▏ 100.0 %  80/80  0.00 tok/s");
}

TEST_CASE("blocks and colour are the environment's choice") {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR"}) unsetenv(name);
  CHECK_FALSE(bar_style_of_environment().utf8);
  CHECK(bar_style_of_environment().color);
  setenv("LANG", "de_DE.UTF-8", 1);
  CHECK(bar_style_of_environment().utf8);
  setenv("LC_ALL", "", 1);  // as if it were not set
  CHECK(bar_style_of_environment().utf8);
  setenv("LC_ALL", "C", 1);
  CHECK_FALSE(bar_style_of_environment().utf8);
  setenv("LC_ALL", "C.utf8", 1);
  CHECK(bar_style_of_environment().utf8);
  setenv("NO_COLOR", "", 1);
  CHECK(bar_style_of_environment().color);
  setenv("NO_COLOR", "1", 1);
  CHECK_FALSE(bar_style_of_environment().color);
  for (const char* name : {"LC_ALL", "LANG", "NO_COLOR"}) unsetenv(name);
}

TEST_CASE("a log gets a line every five seconds, the last one at the end") {
  const std::string text = written(ProgressMode::kLines, [](Progress& progress) {
    for (int i = 0; i <= 120; ++i) progress.update({i, 200, 100 * i}, 1000 + 0.1 * i);
    ProgressCounts last{200, 200, 20'000};
    last.remaining_s = 0.1;
    progress.finish(last, 1020);
  });
  CHECK(text ==
        "50/200 requests, 25.0 %, 1.00 k output tokens/s\n"
        "100/200 requests, 50.0 %, 1.00 k output tokens/s\n"
        "200/200 requests, 100.0 %, 1.00 k output tokens/s\n");
}

TEST_CASE("the longer a run, the longer a log waits for its next line") {
  const auto n_lines = [](int n_seconds) {
    const std::string text = written(ProgressMode::kLines, [&](Progress& progress) {
      for (int i = 0; i <= n_seconds; ++i) progress.update({i, n_seconds, i}, i);
    });
    return std::count(text.begin(), text.end(), '\n');
  };
  CHECK(n_lines(50) == 10);
  CHECK(n_lines(3600) >= 40);
  CHECK(n_lines(3600) <= 60);
  CHECK(n_lines(24 * 3600) < 60 + 24 * 6);  // one every ten minutes at least
  CHECK(n_lines(24 * 3600) > 22 * 6);
}

TEST_CASE("speed counts from the first step, whatever was there before") {
  const std::string text = written(ProgressMode::kLines, [](Progress& progress) {
    progress.update({100, 200, 5000}, 0);
    progress.finish({200, 200, 6000}, 10);
  });
  CHECK(text == "200/200 requests, 100.0 %, 100 output tokens/s\n");
}

TEST_CASE("while lines are read: how many, their tokens and the speed") {
  CHECK(reading_line({120'000, 12'000'000}, 3'100'000) ==
        "reading: 120000 lines, 12.0 M prompt tokens, 3.10 M tokens/s");
  const std::string text = written(ProgressMode::kLines, [](Progress& progress) {
    for (int i = 0; i <= 70; ++i) progress.update_reading({i, 1000 * i}, 50 + 0.1 * i);
    progress.update({0, 70, 0}, 60);
    progress.update({35, 70, 100}, 65);
  });
  CHECK(text.starts_with("reading: 50 lines, 50.0 k prompt tokens, 10.0 k tokens/s\n35/70"));
  const std::string bar = written(ProgressMode::kBar, [](Progress& progress) {
    progress.update_reading({0, 0}, 0);
    progress.update_reading({120'000, 12'000'000}, 1);
    progress.clear();
  });
  CHECK(bar.ends_with("\r\x1b[K"));
  CHECK(bar.find("reading: 120000 lines") != std::string::npos);
}

TEST_CASE("the speed shown is that of the last ten seconds") {
  const std::string text = written(ProgressMode::kLines, [](Progress& progress) {
    progress.update({0, 100, 0}, 0);
    for (int s = 1; s <= 60; ++s) progress.update({0, 100, s <= 30 ? 0 : 200 * (s - 30)}, s);
  });
  CHECK(text.ends_with("0/100 requests, 0.0 %, 200 output tokens/s\n"));
}

TEST_CASE("a terminal's bar is redrawn in place, at most ten times a second") {
  const std::string text = written(ProgressMode::kBar, [](Progress& progress) {
    for (int i = 0; i <= 1000; ++i) progress.update({i, 1000, i}, 0.001 * i);
    progress.finish({1000, 1000, 1000}, 1.0);
  });
  const auto redraws = std::count(text.begin(), text.end(), '\r');
  CHECK(redraws >= 10);
  CHECK(redraws <= 12);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.ends_with("100.0 %  1000/1000  1.00 k tok/s\n"));
}

TEST_CASE("a bar is wiped for other text once") {
  const std::string text = written(ProgressMode::kBar, [](Progress& progress) {
    progress.update({0, 10, 0}, 0);
    progress.clear();
    progress.clear();
  });
  CHECK(text == "\r\x1b[K[..............................] 0.0 %  0/10  0.00 tok/s\r\x1b[K");
}

TEST_CASE("quiet writes nothing, and a file is no terminal") {
  CHECK(written(ProgressMode::kQuiet, [](Progress& progress) {
          progress.update({1, 2, 3}, 0);
          progress.update({1, 2, 3}, 100);
          progress.clear();
          progress.finish({2, 2, 3}, 200);
        }).empty());
  std::FILE* file = std::tmpfile();
  CHECK(progress_mode_for(file) == ProgressMode::kLines);
  std::fclose(file);
}

}  // namespace
}  // namespace prefold
