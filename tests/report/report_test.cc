#include "report/report.h"

#include <doctest/doctest.h>

#include "report/human_numbers.h"

namespace prefold {
namespace {

RunMetrics sample_metrics() {
  RunMetrics metrics;
  metrics.requests = {5000, 4998, 2};
  metrics.tokens = {1'240'000, 157'480, 157'480, 1'082'520, 0, 81'200};
  metrics.ops.emplace().attention = 2.5;
  metrics.time = {0.5, 1.25, 100, 102, 1.5};
  metrics.memory = {int64_t{3} << 29, int64_t{6} << 30, int64_t{8} << 30, 262'144};
  metrics.machine = {"Some CPU", "avx2", 2};
  metrics.model = {"m.gguf", "sha256:00ff", "llama"};
  metrics.options = {{"max_num_batched_tokens", 512}, {"precision", "exact"}};
  metrics.steps.add({0.1, 500, 12, 13, 7});
  metrics.steps.add({0.2, 0, 3, 3, 5});
  metrics.ttft.add(0.1);
  metrics.latency.add(0.2);
  return metrics;
}

TEST_CASE("the report has every key that scripts rely on") {
  const auto report = nlohmann::ordered_json::parse(report_text(make_report(sample_metrics())));
  CHECK(report["schema"] == "prefold-report/1");
  CHECK(report["requests"].dump() ==
        R"({"total":5000,"succeeded":4998,"failed":2,"kept":0,"left":0})");
  CHECK(report["tokens"]["prompt"] == 1'240'000);
  CHECK(report["tokens"]["prefill_ideal"] == 157'480);
  CHECK(report["tokens"]["prefill_computed"] == 157'480);
  CHECK(report["tokens"]["prefill_reused"] == 1'082'520);
  CHECK(report["tokens"]["output"] == 81'200);
  CHECK(report["tokens"]["saved_percent"] == 87.3);
  CHECK(report["steps"]["count"] == 2);
  CHECK(report["time_s"].dump() == R"({"load":0.5,"plan":1.25,"run":100.0,"total":102.0})");
  CHECK(report["engine"].dump() == R"({"wait_percent":1.5,"cuda_graphs":null,"cublas_rows":null})");
  CHECK(report["tokens"]["recomputed"] == 0);
  CHECK(report["op_time_s"]["attention"] == 2.5);
  CHECK(report["throughput"].dump() ==
        R"({"requests_per_s":49.98,"prompt_tokens_per_s":12400.0,"output_tokens_per_s":812.0})");
  CHECK(report["memory_bytes"]["peak_rss"] == 1'610'612'736);
  CHECK(report["memory_bytes"]["peak_kv"] == 6'442'450'944);
  CHECK(report["kv_blocks"].dump() == R"({"peak":7,"pool":262144})");
  CHECK(report["machine"].dump() == R"({"cpu":"Some CPU","isa":"avx2","threads":2,"gpu":null})");
  CHECK(report["model"]["digest"] == "sha256:00ff");
  CHECK(report["options"].dump() == R"({"max_num_batched_tokens":512,"precision":"exact"})");
  CHECK(report["ttft_ms"]["p50"] == 100.0);
  CHECK(report["latency_ms"]["count"] == 1);
  CHECK(report["units"]["time_s"] == "s");
}

TEST_CASE("the report of a run on a GPU names it, and no times that nobody took") {
  RunMetrics metrics = sample_metrics();
  metrics.ops.reset();
  GpuInfo gpu;
  gpu.name = "Some GPU";
  gpu.cc_major = 8;
  gpu.cc_minor = 6;
  gpu.memory_bytes = 1 << 30;
  gpu.free_bytes = 1 << 29;
  metrics.machine.gpu = gpu;
  const auto report = make_report(metrics);
  CHECK(report["machine"]["gpu"].dump() ==
        R"({"name":"Some GPU","compute_capability":"8.6","memory_bytes":1073741824,)"
        R"("free_bytes":536870912})");
  CHECK(report["op_time_s"].is_null());
}

TEST_CASE("tokens per step: mean, buckets with bounds, columns of the time series") {
  const auto steps = make_report(sample_metrics())["steps"];
  CHECK(steps["tokens_per_step"]["mean"] == 257.5);
  CHECK(steps["tokens_per_step"]["max"] == 512);
  const auto& histogram = steps["tokens_per_step"]["histogram"];
  CHECK(histogram.size() == 10);
  CHECK(histogram[0].dump() == R"({"from":0,"to":1,"steps":0})");
  CHECK(histogram[1].dump() == R"({"from":2,"to":3,"steps":1})");
  CHECK(histogram[9].dump() == R"({"from":512,"to":1023,"steps":1})");
  CHECK(steps["series"].dump() ==
        R"({"first_step":[0,1],"n_steps":[1,1],"end_s":[0.1,0.2],"prefill_tokens":[500,0],)"
        R"("decode_tokens":[12,3],"live_requests":[13,3],"kv_blocks":[7,5]})");
}

TEST_CASE("the report of a run that did nothing is valid and finite") {
  const auto report = nlohmann::json::parse(report_text(make_report(RunMetrics{})));
  CHECK(report["throughput"]["requests_per_s"] == 0.0);
  CHECK(report["tokens"]["saved_percent"] == 0.0);
  CHECK(report["steps"]["tokens_per_step"]["histogram"].empty());
  CHECK(report["options"].is_object());
  CHECK_FALSE(summary_table(RunMetrics{}).empty());
}

TEST_CASE("a path that is not UTF-8 does not spoil the report") {
  RunMetrics metrics = sample_metrics();
  metrics.model.path = "m\xff.gguf";
  CHECK(nlohmann::json::parse(report_text(make_report(metrics)))["model"]["path"] ==
        "m\xef\xbf\xbd.gguf");
}

TEST_CASE("the table for people") {
  CHECK(summary_table(sample_metrics()) ==
        "requests  4998 answered, 2 failed\n"
        "prompt    1.24 M tokens, 157 k computed; saved 87.3 % of prompt tokens (ideal 87.3 %)\n"
        "output    81.2 k tokens\n"
        "speed     50.0 requests/s, 12.4 k prompt tokens/s, 812 output tokens/s\n"
        "time      102 s = load 500 ms + plan 1.25 s + run 100 s + rest\n"
        "steps     2, 257.5 tokens each, 512 at most; the engine waited 1.5 % of run\n"
        "answers   first token 100 ms (p50), 100 ms (p99); complete 200 ms (p50), 200 ms (p99)\n"
        "memory    1.50 GiB at most; KV cache 6.00 GiB of 8.00 GiB\n");
}

TEST_CASE("numbers for people have three digits and the right unit") {
  CHECK(human_count(0) == "0");
  CHECK(human_count(999) == "999");
  CHECK(human_count(1000) == "1.00 k");
  CHECK(human_count(999'949) == "1.00 M");
  CHECK(human_count(45'000'000'000) == "45.0 G");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1536) == "1.50 KiB");
  CHECK(human_bytes(int64_t{1023} << 20) == "1023 MiB");
  CHECK(human_seconds(0.0004) == "0.40 ms");
  CHECK(human_seconds(3.214) == "3.21 s");
  CHECK(human_seconds(125) == "2:05");
  CHECK(human_seconds(-1) == "0 s");
  CHECK(human_clock(3723.4) == "1:02:03");
  CHECK(human_clock(59.6) == "1:00");
  CHECK(human_clock(1e300) == "876000:00:00");
  CHECK(human_rate(0.42) == "0.42");
  CHECK(human_rate(12'345) == "12.3 k");
  CHECK(human_percent(99'999, 100'000) == "99.9 %");
  CHECK(human_percent(1, 100'000) == "0.1 %");
  CHECK(human_percent(0, 0) == "0.0 %");
  CHECK(human_percent(7, 7) == "100.0 %");
}

}  // namespace
}  // namespace prefold
