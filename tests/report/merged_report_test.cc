#include "report/merged_report.h"

#include <doctest/doctest.h>

#include <fstream>

#include "base/error.h"
#include "report/page/report_data.h"
#include "report/report.h"
#include "temp_folder.h"

using namespace prefold;

namespace {

using Json = nlohmann::ordered_json;

Json report_of(int64_t n, const std::string& cpu) {
  RunMetrics metrics;
  metrics.requests = {n + 1, n, 1};
  metrics.tokens.prompt = 100 * n;
  metrics.tokens.prefill_computed = 40 * n;
  metrics.tokens.output = 10 * n;
  metrics.time.run_s = static_cast<double>(n);
  metrics.time.total_s = static_cast<double>(n + 1);
  metrics.memory.peak_rss_bytes = 1000 * n;
  metrics.machine = {cpu, "avx2", 4};
  metrics.model = {"m.gguf", "siphash:1", "llama"};
  metrics.options = {{"seed", 3}, {"output", std::to_string(n)}};
  metrics.prediction.predicted = n;
  metrics.prediction.error_tokens = n * n;
  metrics.output_lengths = {
      {"tokens", {1, n}},
      {"stopped", {2, 3}},
      {"cut_off", {0, 1}},
      {"groups",
       Json::array({{{"prefix", "p"}, {"tokens", {n}}, {"stopped", {9}}, {"cut_off", {0}}}})}};
  for (int64_t i = 0; i < n; ++i) {
    StepSample sample;
    sample.prefill_tokens = 16;
    metrics.steps.add(sample);
    metrics.ttft.add(0.25 * static_cast<double>(i + 1));
  }
  return make_report(metrics);
}

}  // namespace

TEST_CASE("a merged report adds up, and takes the longest times and highest peaks") {
  const std::vector<ShardReport> shards{{0, 2.0, report_of(2, "A")}, {3, 5.0, report_of(4, "B")}};
  const Json merged = merge_reports(shards);
  CHECK(merged["schema"] == "prefold-report/1");
  CHECK(merged["requests"]["total"] == 8);
  CHECK(merged["requests"]["succeeded"] == 6);
  CHECK(merged["requests"]["failed"] == 2);
  CHECK(merged["tokens"]["prompt"] == 600);
  CHECK(merged["tokens"]["saved_percent"] == doctest::Approx(60));
  CHECK(merged["time_s"]["run"] == 4.0);
  CHECK(merged["time_s"]["total"] == 5.0);
  CHECK(merged["machine_time_s"]["total"] == 8.0);
  CHECK(merged["throughput"]["output_tokens_per_s"] == doctest::Approx(60.0 / 4));
  CHECK(merged["memory_bytes"]["peak_rss"] == 4000);
  CHECK(merged["machine"]["cpu"] == "A, B");
  CHECK(merged["machine"]["threads"] == 4);
  CHECK(merged["model"]["path"] == "m.gguf");
  CHECK(merged["options"]["seed"] == 3);
  CHECK(merged["options"]["output"] == nullptr);
  CHECK(merged["steps"]["count"] == 6);
  CHECK(merged["steps"]["tokens_per_step"]["mean"] == doctest::Approx(16));
  CHECK(merged["steps"]["tokens_per_step"]["histogram"].back()["steps"] == 6);
  CHECK(merged["ttft_ms"]["count"] == 6);
  CHECK(merged["ttft_ms"]["mean"] == doctest::Approx(1000 * (0.75 + 2.5) / 6));
  CHECK(merged["ttft_ms"]["min"] == doctest::Approx(250));
  CHECK(merged["ttft_ms"]["p50"].get<double>() == doctest::Approx(500).epsilon(0.022));
  CHECK(merged["ttft_ms"]["p99"].get<double>() == doctest::Approx(1000).epsilon(0.022));
  CHECK(merged["ttft_ms"]["max"] == doctest::Approx(1000));
  CHECK(merged["prediction"]["count"] == 6);
  CHECK(merged["prediction"]["mean_abs_error_tokens"] == doctest::Approx((4.0 + 16) / 6));
  CHECK(merged["output_lengths"]["tokens"] == Json({1, 2, 4}));
  CHECK(merged["output_lengths"]["stopped"] == Json({4, 3, 3}));
  CHECK(merged["output_lengths"]["groups"][0]["stopped"] == Json({9, 9}));
  REQUIRE(merged["shards"].size() == 2);
  CHECK(merged["shards"][1]["shard"] == 3);
  CHECK(merged["shards"][1]["predicted_s"] == 5.0);
  CHECK(merged["shards"][1]["time_s"]["run"] == 4.0);
  CHECK(merged["shards"][1]["machine"]["cpu"] == "B");
  // It can be shown as a run's can, and every key of that is there.
  CHECK(read_report_data("merged", report_text(merged)).n_requests == 8);
  for (const auto& [name, value] : shards[0].report.items()) CHECK(merged.contains(name));
}

TEST_CASE("no reports, and what is no report") {
  CHECK(merge_reports({})["requests"]["total"] == 0);
  const TempFolder folder;
  folder.write("a", "{}");
  folder.write("b", "no JSON");
  CHECK_THROWS_AS(read_report(folder.path() + "/a"), FormatError);
  CHECK_THROWS_AS(read_report(folder.path() + "/b"), FormatError);
  CHECK_THROWS_AS(read_report(folder.path() + "/none"), Error);
  folder.write("c", report_text(report_of(1, "A")));
  CHECK(read_report(folder.path() + "/c") == report_of(1, "A"));
}
