#include "report/progress.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>

namespace prefold {
namespace {

// What `use` makes a Progress write.
std::string written(ProgressMode mode, const std::function<void(Progress&)>& use) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    Progress progress(file, mode, 60);
    use(progress);
  }
  std::string text(static_cast<size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  REQUIRE(std::fread(text.data(), 1, text.size(), file) == text.size());
  std::fclose(file);
  return text;
}

TEST_CASE("a progress line: done, share, speed, time left") {
  CHECK(progress_line({1240, 5000, 9}, 812, 41.2) ==
        "1240/5000 requests, 24.8 %, 812 output tokens/s, 0:41 left");
  CHECK(progress_line({0, 5000, 0}, 0, -1) == "0/5000 requests, 0.0 %, 0.00 output tokens/s");
}

TEST_CASE("a bar fits the terminal, and gives way where it is too narrow") {
  const ProgressCounts counts{50, 100, 9};
  const std::string line = progress_line(counts, 812, 41);
  CHECK(progress_bar(counts, 812, 41, 200) ==
        "[" + std::string(15, '#') + std::string(15, '.') + "] " + line);
  const auto n_line = static_cast<int32_t>(line.size());
  CHECK(progress_bar(counts, 812, 41, n_line + 13) == "[#####.....] " + line);
  CHECK(progress_bar(counts, 812, 41, n_line + 7) == line);
  CHECK(progress_bar(counts, 812, 41, 10) == line.substr(0, 10));
  CHECK(progress_bar({5, 0, 0}, 0, -1, 200).starts_with("[....."));
}

TEST_CASE("a log gets a line every five seconds, the last one at the end") {
  const std::string text = written(ProgressMode::kLines, [](Progress& progress) {
    for (int i = 0; i <= 120; ++i) progress.update({i, 200, 100 * i}, 1000 + 0.1 * i);
    progress.finish({200, 200, 20'000}, 1020);
  });
  CHECK(text ==
        "50/200 requests, 25.0 %, 1.00 k output tokens/s, 0:15 left\n"
        "100/200 requests, 50.0 %, 1.00 k output tokens/s, 0:10 left\n"
        "200/200 requests, 100.0 %, 1.00 k output tokens/s\n");
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
  CHECK(text.ends_with("1000/1000 requests, 100.0 %, 1.00 k output tokens/s\n"));
}

TEST_CASE("a bar is wiped for other text once") {
  const std::string text = written(ProgressMode::kBar, [](Progress& progress) {
    progress.update({0, 10, 0}, 0);
    progress.clear();
    progress.clear();
  });
  CHECK(text == "\r\x1b[K[..............] 0/10 requests, 0.0 %, 0.00 output tokens/s\r\x1b[K");
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
