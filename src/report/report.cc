#include "report/report.h"

#include <fmt/format.h>

#include "report/human_numbers.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMsPerS = 1000.0;

double per_second(int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
}

double percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

Json units() {
  return {{"requests", "requests"},
          {"tokens", "tokens"},
          {"tokens.*_percent", "% of tokens.prompt"},
          {"steps.tokens_per_step", "tokens"},
          {"steps.yields", "sequences"},
          {"steps.series.end_s", "s since the first step began"},
          {"time_s", "s"},
          {"engine.wait_percent", "% of time_s.run"},
          {"engine.cuda_graphs.steps", "steps"},
          {"engine.cuda_graphs.device_bytes", "bytes"},
          {"engine.cublas_rows.{dense,w8,w4,output}", "rows"},
          {"op_time_s", "s of time_s.run"},
          {"throughput.requests_per_s", "requests/s of time_s.run"},
          {"throughput.prompt_tokens_per_s", "tokens/s of time_s.run"},
          {"throughput.output_tokens_per_s", "tokens/s of time_s.run"},
          {"prediction.count", "sequences"},
          {"prediction.mean_abs_error_tokens", "tokens"},
          {"prediction.under_predicted_percent", "% of prediction.count"},
          {"output_lengths.*.tokens", "tokens"},
          {"output_lengths.*.{stopped,cut_off}", "sequences"},
          {"prefix_forest.{depth,tokens,hidden_tokens}", "tokens"},
          {"ttft_ms", "ms since the first step began"},
          {"latency_ms", "ms since the first step began"},
          {"memory_bytes", "bytes"},
          {"cost_model.*_ns", "ns"},
          {"kv_blocks", "blocks"}};
}

int64_t answered_now(const RequestCounts& requests) {
  return requests.succeeded - requests.kept_succeeded;
}

int64_t prompt_answered(const TokenCounts& tokens) {
  return tokens.prompt - tokens.prompt_unanswered;
}

Json stop(const StopInfo& stop) {
  Json json = {{"reason", stop.reason}, {"detail", nullptr}};
  if (!stop.detail.empty()) json["detail"] = stop.detail;
  return json;
}

Json token_counts(const TokenCounts& tokens) {
  return {{"prompt", tokens.prompt},
          {"prefill_ideal", tokens.prefill_ideal},
          {"prefill_computed", tokens.prefill_computed},
          {"prefill_reused", tokens.prefill_reused},
          {"recomputed", tokens.recomputed},
          {"output", tokens.output},
          {"padding", tokens.padding},
          {"saved_percent", percent(tokens.prefill_reused, prompt_answered(tokens))},
          {"saved_ideal_percent", percent(tokens.prompt - tokens.prefill_ideal, tokens.prompt)}};
}

// Buckets up to the last one that holds a step.
Json histogram(const StepMetrics& steps) {
  const auto& counts = steps.tokens_histogram();
  size_t n_buckets = counts.size();
  while (n_buckets > 0 && counts[n_buckets - 1] == 0) n_buckets -= 1;
  Json buckets = Json::array();
  for (size_t i = 0; i < n_buckets; ++i) {
    const int64_t from = i == 0 ? 0 : int64_t{1} << i;
    const bool open_ended = i + 1 == counts.size();
    Json bucket = {{"from", from}, {"to", nullptr}, {"steps", counts[i]}};
    if (!open_ended) bucket["to"] = (int64_t{2} << i) - 1;
    buckets.push_back(std::move(bucket));
  }
  return buckets;
}

Json series(const StepMetrics& steps) {
  Json columns = {{"first_step", Json::array()},    {"n_steps", Json::array()},
                  {"end_s", Json::array()},         {"prefill_tokens", Json::array()},
                  {"decode_tokens", Json::array()}, {"live_requests", Json::array()},
                  {"kv_blocks", Json::array()}};
  for (const StepPoint& point : steps.points()) {
    columns["first_step"].push_back(point.first_step);
    columns["n_steps"].push_back(point.n_steps);
    columns["end_s"].push_back(point.end_s);
    columns["prefill_tokens"].push_back(point.prefill_tokens);
    columns["decode_tokens"].push_back(point.decode_tokens);
    columns["live_requests"].push_back(point.live_requests);
    columns["kv_blocks"].push_back(point.kv_blocks);
  }
  return columns;
}

double mean_tokens(const StepMetrics& steps) {
  if (steps.count() == 0) return 0.0;
  return static_cast<double>(steps.prefill_tokens() + steps.decode_tokens() +
                             steps.padding_tokens()) /
         static_cast<double>(steps.count());
}

Json prediction(const PredictionCounts& counts) {
  const double mean = counts.predicted == 0 ? 0.0
                                            : static_cast<double>(counts.error_tokens) /
                                                  static_cast<double>(counts.predicted);
  return {{"count", counts.predicted},
          {"mean_abs_error_tokens", mean},
          {"under_predicted_percent", percent(counts.under_predicted, counts.predicted)}};
}

Json step_counts(const StepMetrics& steps, int64_t n_yields) {
  return {{"count", steps.count()},
          {"prefill_tokens", steps.prefill_tokens()},
          {"decode_tokens", steps.decode_tokens()},
          {"yields", n_yields},
          {"peak_live_requests", steps.peak_live_requests()},
          {"tokens_per_step",
           {{"mean", mean_tokens(steps)},
            {"max", steps.max_tokens()},
            {"histogram", histogram(steps)}}},
          {"series", series(steps)}};
}

Json quantiles_ms(const LogHistogram& durations) {
  Json histogram = {{"to_ms", Json::array()}, {"count", Json::array()}};
  for (const auto& [to_s, count] : durations.buckets()) {
    histogram["to_ms"].push_back(to_s * kMsPerS);
    histogram["count"].push_back(count);
  }
  return {{"count", durations.count()},
          {"mean", durations.mean_s() * kMsPerS},
          {"min", durations.min_s() * kMsPerS},
          {"p50", durations.quantile_s(0.5) * kMsPerS},
          {"p90", durations.quantile_s(0.9) * kMsPerS},
          {"p99", durations.quantile_s(0.99) * kMsPerS},
          {"max", durations.max_s() * kMsPerS},
          {"histogram", std::move(histogram)}};
}

Json op_times(const std::optional<OpSeconds>& ops) {
  if (!ops) return nullptr;
  return {{"linear", ops->linear},     {"attention", ops->attention},
          {"kv_cache", ops->kv_cache}, {"elementwise", ops->elementwise},
          {"lm_head", ops->lm_head},   {"sampling", ops->sampling}};
}

Json engine(const RunMetrics& metrics) {
  Json json = {{"wait_percent", metrics.time.engine_wait_percent()},
               {"cuda_graphs", nullptr},
               {"cublas_rows", nullptr}};
  if (const std::optional<GpuMetrics>& gpu = metrics.gpu) {
    json["cuda_graphs"] = {
        {"count", gpu->graphs}, {"steps", gpu->replayed_steps}, {"device_bytes", gpu->graph_bytes}};
    json["cublas_rows"] = gpu->cublas_rows;
  }
  return json;
}

Json gpu(const std::optional<GpuInfo>& info) {
  if (!info) return nullptr;
  return {{"name", info->name},
          {"compute_capability", fmt::format("{}.{}", info->cc_major, info->cc_minor)},
          {"memory_bytes", info->memory_bytes},
          {"free_bytes", info->free_bytes}};
}

void add_row(std::string& table, const char* name, const std::string& text) {
  table += fmt::format("{:<9} {}\n", name, text);
}

}  // namespace

Json make_report(const RunMetrics& metrics) {
  const PhaseTimes& time = metrics.time;
  return {{"schema", kReportSchema},
          {"units", units()},
          {"requests",
           {{"total", metrics.requests.total},
            {"succeeded", metrics.requests.succeeded},
            {"failed", metrics.requests.failed},
            {"kept", metrics.requests.kept()},
            {"left", metrics.requests.left()}}},
          {"stop", stop(metrics.stop)},
          {"tokens", token_counts(metrics.tokens)},
          {"time_s",
           {{"load", time.load_s},
            {"plan", time.plan_s},
            {"run", time.run_s},
            {"total", time.total_s}}},
          {"engine", engine(metrics)},
          {"op_time_s", op_times(metrics.ops)},
          {"throughput",
           {{"requests_per_s", per_second(answered_now(metrics.requests), time.run_s)},
            {"prompt_tokens_per_s", per_second(prompt_answered(metrics.tokens), time.run_s)},
            {"output_tokens_per_s", per_second(metrics.tokens.output, time.run_s)}}},
          {"ttft_ms", quantiles_ms(metrics.ttft)},
          {"latency_ms", quantiles_ms(metrics.latency)},
          {"memory_bytes",
           {{"peak_rss", metrics.memory.peak_rss_bytes},
            {"peak_kv", metrics.memory.peak_kv_bytes},
            {"kv_pool", metrics.memory.kv_pool_bytes}}},
          {"kv_blocks",
           {{"peak", metrics.steps.peak_kv_blocks()}, {"pool", metrics.memory.kv_pool_blocks}}},
          {"machine",
           {{"cpu", metrics.machine.cpu},
            {"isa", metrics.machine.isa},
            {"threads", metrics.machine.threads},
            {"gpu", gpu(metrics.machine.gpu)}}},
          {"model",
           {{"path", metrics.model.path},
            {"digest", metrics.model.digest},
            {"architecture", metrics.model.architecture}}},
          {"options", metrics.options},
          {"cost_model", metrics.cost_model},
          {"prediction", prediction(metrics.prediction)},
          {"output_lengths", metrics.output_lengths},
          {"prefix_forest", metrics.prefix_forest},
          {"steps", step_counts(metrics.steps, metrics.prediction.yields)}};
}

std::string report_text(const Json& report) {
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string summary_table(const RunMetrics& metrics) {
  const TokenCounts& tokens = metrics.tokens;
  const PhaseTimes& time = metrics.time;
  const StepMetrics& steps = metrics.steps;
  std::string table;
  const RequestCounts& requests = metrics.requests;
  std::string counts = fmt::format("{} answered, {} failed", requests.succeeded, requests.failed);
  if (requests.kept() > 0) counts += fmt::format(", {} of them by earlier runs", requests.kept());
  if (requests.left() > 0) counts += fmt::format("; {} are left", requests.left());
  add_row(table, "requests", counts);
  add_row(table, "prompt",
          fmt::format("{} tokens, {} computed; saved {} of prompt tokens (ideal {})",
                      human_count(tokens.prompt), human_count(tokens.prefill_computed),
                      human_percent(tokens.prefill_reused, prompt_answered(tokens)),
                      human_percent(tokens.prompt - tokens.prefill_ideal, tokens.prompt)));
  if (tokens.recomputed > 0) {
    add_row(table, "",
            fmt::format("{} tokens computed once more, for want of KV memory "
                        "(--kv-memory)",
                        human_count(tokens.recomputed)));
  }
  add_row(table, "output", fmt::format("{} tokens", human_count(tokens.output)));
  add_row(table, "speed",
          fmt::format("{} requests/s, {} prompt tokens/s, {} output tokens/s",
                      human_rate(per_second(answered_now(metrics.requests), time.run_s)),
                      human_rate(per_second(prompt_answered(tokens), time.run_s)),
                      human_rate(per_second(tokens.output, time.run_s))));
  add_row(table, "time",
          fmt::format("{} = load {} + plan {} + run {} + rest", human_seconds(time.total_s),
                      human_seconds(time.load_s), human_seconds(time.plan_s),
                      human_seconds(time.run_s)));
  add_row(table, "steps",
          fmt::format("{}, {:.1f} tokens each, {} at most; the engine waited {:.1f} % of run",
                      steps.count(), mean_tokens(steps), steps.max_tokens(),
                      time.engine_wait_percent()));
  if (metrics.latency.count() > 0)
    add_row(table, "answers",
            fmt::format("first token {} (p50), {} (p99); complete {} (p50), {} (p99)",
                        human_seconds(metrics.ttft.quantile_s(0.5)),
                        human_seconds(metrics.ttft.quantile_s(0.99)),
                        human_seconds(metrics.latency.quantile_s(0.5)),
                        human_seconds(metrics.latency.quantile_s(0.99))));
  add_row(table, "memory",
          fmt::format("{} at most; KV cache {} of {}", human_bytes(metrics.memory.peak_rss_bytes),
                      human_bytes(metrics.memory.peak_kv_bytes),
                      human_bytes(metrics.memory.kv_pool_bytes)));
  return table;
}

}  // namespace prefold
