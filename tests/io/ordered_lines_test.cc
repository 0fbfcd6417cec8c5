#include "io/ordered_lines.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "io/test_files.h"

namespace prefold {
namespace {

std::string line_of(int64_t place) {
  return fmt::format("{{\"id\":{},\"text\":\"{}\"}}", place, std::string(place % 50, 'x'));
}

std::string lines_up_to(int64_t end) {
  std::string text;
  for (int64_t i = 0; i < end; ++i) text += line_of(i) + "\n";
  return text;
}

std::vector<int64_t> shuffled(int64_t n, uint32_t seed) {
  std::vector<int64_t> places(n);
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), std::mt19937(seed));
  return places;
}

}  // namespace

TEST_CASE("lines come out in order, whatever the order they came in") {
  TestFiles folder;
  const std::string path = folder.path("out"), waiting = folder.path("out.waiting");
  for (const std::string& side_file : {waiting, std::string()}) {
    OutputFile output(path, ExistingOutput::kReplace, {});
    OrderedLines lines(output, side_file, 0);
    for (const int64_t place : shuffled(500, 3)) lines.write(place, line_of(place));
    lines.sync();
    CHECK(lines.n_waiting() == 0);
    lines.remove_file();
    output.close();
    CHECK(read_file(path) == lines_up_to(500));
    CHECK_FALSE(std::filesystem::exists(waiting));
  }
}

TEST_CASE("a line that waits is in the side file once it is flushed") {
  TestFiles folder;
  OutputFile output(folder.path("out"), ExistingOutput::kRefuse, {});
  OrderedLines lines(output, folder.path("out.waiting"), 0);
  lines.write(7, line_of(7));
  lines.flush();
  CHECK(read_file(folder.path("out.waiting")) == "7\t" + line_of(7) + "\n");
  CHECK(read_file(folder.path("out")).empty());
  CHECK(lines.has(7));
  CHECK_FALSE(lines.has(0));
}

TEST_CASE("wherever a run ends, the next one goes on with every line that was flushed") {
  std::mt19937 random(11);
  for (int round = 0; round < 30; ++round) {
    TestFiles folder;
    const std::string path = folder.path("out"), waiting = folder.path("out.waiting");
    const std::vector<int64_t> places = shuffled(60, static_cast<uint32_t>(round));
    const auto n_first = static_cast<size_t>(random() % places.size());
    {
      OutputFile output(path, ExistingOutput::kRefuse, {});
      OrderedLines lines(output, waiting, 0);
      for (size_t i = 0; i < n_first; ++i) lines.write(places[i], line_of(places[i]));
      lines.flush();
    }
    // Torn ends of both, as a crash leaves them.
    if (std::filesystem::exists(waiting)) {
      folder.write("out.waiting", read_file(waiting) + "59\t{\"id\":5");
    }
    const std::string whole = read_file(path);
    folder.write("out", whole + "{\"id\":");

    OutputFile output(path, ExistingOutput::kContinue, {});
    output.keep(std::ssize(whole), false);
    OrderedLines lines(output, waiting, std::count(whole.begin(), whole.end(), '\n'));
    int64_t n_loaded = std::count(whole.begin(), whole.end(), '\n');
    lines.load([&](const ResultHead&) { ++n_loaded; });
    CHECK(n_loaded == static_cast<int64_t>(n_first));
    for (const int64_t place : places) {
      if (!lines.has(place)) lines.write(place, line_of(place));
    }
    lines.sync();
    lines.remove_file();
    output.close();
    CHECK(read_file(path) == lines_up_to(60));
  }
}

TEST_CASE("of a side file's damage only the damaged lines are lost") {
  TestFiles folder;
  const std::string path = folder.path("out");
  folder.write("out.waiting", "3\t" + line_of(3) + "\nno place\n4\t{\"id\":4" +
                                  std::string(9, '\0') + "\n5\t" + line_of(5) + "\n");
  OutputFile output(path, ExistingOutput::kContinue, {});
  output.keep(0, false);
  OrderedLines lines(output, folder.path("out.waiting"), 0);
  lines.load([](const ResultHead&) {});
  CHECK(lines.has(3));
  CHECK_FALSE(lines.has(4));
  CHECK(lines.has(5));
}

}  // namespace prefold
