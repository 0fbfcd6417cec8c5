#include "report/metrics_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "base/error.h"
#include "temp_folder.h"

using namespace prefold;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Family {
  std::string help, type;
  std::map<std::string, std::string> samples;  // by labels
};

// Reads the exposition format strictly: HELP, TYPE, then the family's samples; nothing twice.
std::map<std::string, Family> parse(const std::string& text) {
  static const std::regex kSample(
      R"re(([a-z_:][a-z0-9_:]*)\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*)\} (-?[0-9.]+(?:e[+-]?[0-9]+)?))re");
  REQUIRE(text.ends_with("\n"));
  std::map<std::string, Family> families;
  std::istringstream in(text);
  std::string current;
  for (std::string line; std::getline(in, line);) {
    CAPTURE(line);
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      CHECK(families.count(current) == 0);
      families[current].help = line.substr(8 + current.size());
    } else if (line.starts_with("# TYPE ")) {
      REQUIRE(line.substr(7, current.size()) == current);
      families[current].type = line.substr(8 + current.size());
    } else {
      std::smatch match;
      REQUIRE(std::regex_match(line, match, kSample));
      REQUIRE(match[1] == current);
      CHECK(families[current].samples.emplace(match[2], match[3]).second);
    }
  }
  return families;
}

MetricsSnapshot in_the_middle() {
  MetricsSnapshot snapshot;
  snapshot.run = "nightly";
  snapshot.version = "1.2.3";
  snapshot.start_unix_s = 1.7e9;
  snapshot.now_unix_s = 1.7e9 + 60.5;
  snapshot.progress = {5, 10, 1234};
  snapshot.progress.requests_failed = 2;
  snapshot.progress.remaining_s = 61.25;
  snapshot.progress.kv_pool_bytes = int64_t{5} << 30;
  return snapshot;
}

}  // namespace

TEST_CASE("every metric has a help, a type, a prefix and a unit") {
  MetricsSnapshot snapshot = in_the_middle();
  snapshot.end = RunEnd::kAllAnswered;
  snapshot.last_success_unix_s = 1.7e9 + 60.5;
  for (const auto& [name, family] : parse(metrics_text(snapshot))) {
    CAPTURE(name);
    CHECK(name.starts_with("prefold_"));
    CHECK(family.help.ends_with("."));
    CHECK_FALSE(family.samples.empty());
    CHECK((family.type == "counter" || family.type == "gauge"));
    CHECK((family.type == "counter") == name.ends_with("_total"));
    // A collector adds these itself; a file's own would clash.
    for (const auto& [labels, value] : family.samples) {
      CHECK(labels.starts_with("run=\"nightly\""));
      CHECK(labels.find("job=") == std::string::npos);
      CHECK(labels.find("instance=") == std::string::npos);
    }
  }
}

TEST_CASE("figures of a run that goes on") {
  auto families = parse(metrics_text(in_the_middle()));
  CHECK(families["prefold_run_active"].samples["run=\"nightly\""] == "1");
  CHECK(families["prefold_requests_total"].samples["run=\"nightly\",result=\"succeeded\""] == "3");
  CHECK(families["prefold_requests_total"].samples["run=\"nightly\",result=\"failed\""] == "2");
  CHECK(families["prefold_output_tokens_total"].samples["run=\"nightly\""] == "1234");
  CHECK(families["prefold_remaining_seconds"].samples["run=\"nightly\""] == "61.25");
  CHECK(families["prefold_kv_cache_size_bytes"].samples["run=\"nightly\""] == "5368709120");
  CHECK(families["prefold_start_timestamp_seconds"].samples["run=\"nightly\""] == "1700000000");
  for (const char* at_the_end :
       {"prefold_exit_status", "prefold_exit_reason", "prefold_end_timestamp_seconds",
        "prefold_last_success_timestamp_seconds"}) {
    CHECK(families.count(at_the_end) == 0);
  }
}

TEST_CASE("the end: status, one reason of all, no time left") {
  MetricsSnapshot snapshot = in_the_middle();
  snapshot.end = RunEnd::kStopped;
  auto families = parse(metrics_text(snapshot));
  CHECK(families["prefold_run_active"].samples["run=\"nightly\""] == "0");
  CHECK(families["prefold_exit_status"].samples["run=\"nightly\""] == "3");
  const auto& reasons = families["prefold_exit_reason"].samples;
  CHECK(reasons.size() == 4);
  for (const auto& [labels, value] : reasons) {
    CHECK(value == (labels.ends_with("reason=\"stopped\"") ? "1" : "0"));
  }
  CHECK(families.count("prefold_remaining_seconds") == 0);
}

TEST_CASE("a file's name is safe as a label") {
  MetricsSnapshot snapshot = in_the_middle();
  snapshot.run = "a\"b\\c\nd\xff";
  auto families = parse(metrics_text(snapshot));
  CHECK(families["prefold_run_active"].samples.begin()->first ==
        "run=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"");
}

TEST_CASE("the file is replaced whole, now and then and at the end") {
  const TempFolder folder;
  const std::string path = folder.path() + "/nightly.prom";
  MetricsFile file(path, "1.2.3", 1000);
  CHECK(content_of(path).find("prefold_requests_total{run=\"nightly\",result=\"failed\"} 0\n") !=
        std::string::npos);
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0444) == 0444);  // another user's exporter reads it
  const auto first_inode = status.st_ino;
  file.update(ProgressCounts{1, 10, 100}, 1005);  // too early
  CHECK(content_of(path).find("prefold_output_tokens_total{run=\"nightly\"} 0\n") !=
        std::string::npos);
  file.update(ProgressCounts{2, 10, 200}, 1011);
  CHECK(content_of(path).find("prefold_output_tokens_total{run=\"nightly\"} 200\n") !=
        std::string::npos);
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK(status.st_ino != first_inode);
  CHECK(file.finish(RunEnd::kAllAnswered, 1012));
  CHECK(content_of(path).find("prefold_last_success_timestamp_seconds{run=\"nightly\"} 1012\n") !=
        std::string::npos);
  file.update(ProgressCounts{3, 10, 300}, 2000);  // too late: a run that is ended at once
  CHECK(file.finish(RunEnd::kStopped, 2001));
  CHECK(content_of(path).find("prefold_end_timestamp_seconds{run=\"nightly\"} 1012\n") !=
        std::string::npos);
  const std::filesystem::directory_iterator left(folder.path());
  CHECK(std::distance(begin(left), end(left)) == 1);
}

TEST_CASE("the last success outlives runs that fail") {
  const TempFolder folder;
  const std::string path = folder.path() + "/nightly.prom";
  CHECK(MetricsFile(path, "1", 1000).finish(RunEnd::kAllAnswered, 1234.5));
  MetricsFile second(path, "1", 2000);
  CHECK(content_of(path).find("prefold_last_success_timestamp_seconds{run=\"nightly\"} 1234.5\n") !=
        std::string::npos);
  CHECK(second.finish(RunEnd::kCannotRun, 2001));
  CHECK(MetricsFile(path, "1", 3000).snapshot().last_success_unix_s == 1234.5);
  folder.write("nightly.prom", "prefold_last_success_timestamp_seconds{run=\"x\"} soon\n\xff\n");
  CHECK_FALSE(MetricsFile(path, "1", 4000).snapshot().last_success_unix_s.has_value());
}

TEST_CASE("a path that cannot be written is an error at the start") {
  const TempFolder folder;
  CHECK_THROWS_WITH_AS(MetricsFile(folder.path(), "1", 0),
                       ("--metrics " + folder.path() + ": not a file").c_str(), Error);
  CHECK_THROWS_WITH_AS(MetricsFile(folder.path() + "/none/x.prom", "1", 0),
                       doctest::Contains("No such file or directory"), Error);
  CHECK_THROWS_WITH_AS(MetricsFile("/dev/full", "1", 0), doctest::Contains("not a file"), Error);
}

TEST_CASE("a disk that fills up later stops nothing, and leaves the file as it was") {
  const TempFolder folder;
  const std::string path = folder.path() + "/sub/x.prom";
  folder.write("sub/x.prom", "");
  MetricsFile file(path, "1", 1000);
  std::filesystem::remove_all(folder.path() + "/sub");
  file.update(ProgressCounts{2, 10, 200}, 2000);
  CHECK_FALSE(file.finish(RunEnd::kAllAnswered, 2001));
}
