#include "report/run_log.h"

#include <doctest/doctest.h>

#include <vector>

using namespace prefold;
using Json = nlohmann::ordered_json;

namespace {

const auto kTime =
    std::chrono::system_clock::time_point(std::chrono::milliseconds(1'795'667'701'007));

// The lines that `use` makes a log write.
std::vector<std::string> lines_of(LogFormat format, bool quiet,
                                  const std::function<void(RunLog&)>& use) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    RunLog log(file, format, quiet);
    use(log);
  }
  std::rewind(file);
  std::vector<std::string> lines;
  char line[1 << 16];
  while (std::fgets(line, sizeof line, file) != nullptr) lines.emplace_back(line);
  std::fclose(file);
  return lines;
}

}  // namespace

TEST_CASE("times are RFC 3339 in UTC, to the millisecond") {
  CHECK(rfc3339_utc(kTime) == "2026-11-26T04:35:01.007Z");
  CHECK(rfc3339_utc({}) == "1970-01-01T00:00:00.000Z");
}

TEST_CASE("a note as text, and as a JSON object on one line") {
  const Note plan("plan", "plan: 3 requests", {{"requests", 3}});
  CHECK(log_text(plan, LogFormat::kText, kTime) == "plan: 3 requests\n");
  CHECK(log_text(plan, LogFormat::kJson, kTime) ==
        R"({"time":"2026-11-26T04:35:01.007Z","level":"info","event":"plan",)"
        R"("message":"plan: 3 requests","fields":{"requests":3}})"
        "\n");
}

TEST_CASE("plain text is a note without fields, or a warning") {
  const Note warning = std::string("warning: the cache is full");
  CHECK(log_text(warning, LogFormat::kText, kTime) == "warning: the cache is full\n");
  const Json line = Json::parse(log_text(warning, LogFormat::kJson, kTime));
  CHECK(line["level"] == "warning");
  CHECK(line["event"] == "warning");
  CHECK(line["message"] == "the cache is full");
  CHECK(line["fields"].dump() == "{}");
  CHECK(Json::parse(log_text(std::string("x"), LogFormat::kJson, kTime))["event"] == "note");
}

TEST_CASE("line ends, control characters and bytes that are no UTF-8 stay inside a JSON line") {
  const std::string text =
      log_text(std::string("a\nb\x01\"\xff\xe2\x80\xa8"), LogFormat::kJson, kTime);
  CHECK(text.find('\n') == text.size() - 1);
  CHECK(Json::parse(text)["message"] == "a\nb\x01\"\xef\xbf\xbd\xe2\x80\xa8");
}

TEST_CASE("progress and the end in a log of JSON lines") {
  RunMetrics metrics;
  metrics.requests = {10, 9, 1};
  metrics.tokens.output = 100;
  metrics.time.run_s = 4;
  const std::vector<std::string> lines = lines_of(LogFormat::kJson, false, [&](RunLog& log) {
    log.reading({1, 2}, 0);
    log.reading({50, 700}, 6);
    ProgressCounts counts{0, 10, 0};
    counts.remaining_s = 12.5;
    log.progress(counts, 10);
    counts.requests_done = 5;
    counts.output_tokens = 60;
    log.progress(counts, 16);
    log.finish_progress({10, 10, 100}, 20);
    log.summary(metrics, 1);
  });
  REQUIRE(lines.size() == 4);
  const Json reading = Json::parse(lines[0]);
  CHECK(reading["event"] == "reading");
  CHECK(reading["fields"]["lines"] == 50);
  const Json progress = Json::parse(lines[1]);
  CHECK(progress["event"] == "progress");
  CHECK(progress["level"] == "info");
  CHECK(progress["fields"]["requests_done"] == 5);
  CHECK(progress["fields"]["output_tokens_per_s"] == 10.0);
  CHECK(progress["fields"]["remaining_s"] == 12.5);
  CHECK(Json::parse(lines[2])["fields"]["remaining_s"].is_null());
  const Json summary = Json::parse(lines[3]);
  CHECK(summary["event"] == "summary");
  CHECK(summary["message"] == "9 answered, 1 failed");
  CHECK(summary["fields"]["exit_status"] == 1);
  CHECK(summary["fields"]["requests"]["failed"] == 1);
  CHECK(summary["fields"]["throughput"]["output_tokens_per_s"] == 25.0);
  CHECK_FALSE(summary["fields"].contains("steps"));
  CHECK(lines[3].size() < 4000);
}

TEST_CASE("the same as text, and quiet") {
  const auto use = [](RunLog& log) {
    log.note({"plan", "plan: 3 requests", Json::object()});
    log.progress({0, 10, 0}, 10);
    log.finish_progress({10, 10, 100}, 20);
    log.summary({}, 0);
  };
  const std::vector<std::string> lines = lines_of(LogFormat::kText, false, use);
  REQUIRE(lines.size() > 4);
  CHECK(lines[0] == "plan: 3 requests\n");
  CHECK(lines[1] == "10/10 requests, 100.0 %, 10.0 output tokens/s\n");
  CHECK(lines[2].starts_with("requests "));
  CHECK(lines.back().starts_with("memory "));
  CHECK(lines_of(LogFormat::kText, true, use).empty());
  CHECK(lines_of(LogFormat::kJson, true, use).empty());
}

TEST_CASE("an error is told even when quiet, and wipes the bar") {
  const auto use = [](RunLog& log) { log.error("no such file"); };
  CHECK(lines_of(LogFormat::kText, true, use) ==
        std::vector<std::string>{"prefold: error: no such file\n"});
  const Json line = Json::parse(lines_of(LogFormat::kJson, true, use).at(0));
  CHECK(line["level"] == "error");
  CHECK(line["event"] == "error");
  CHECK(line["message"] == "no such file");
}
