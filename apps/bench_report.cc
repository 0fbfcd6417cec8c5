#include "bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "git_commit.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

// None where the peak was not measured.
std::optional<double> bound_s(const BenchResult& result, const WorkloadResult& workload) {
  if (result.fma_flops == 0) return std::nullopt;
  return workload.needs.flops / result.fma_flops;
}

std::optional<double> percent_of_bound(const BenchResult& result, const WorkloadResult& workload,
                                       const Measured& measured) {
  const std::optional<double> bound = bound_s(result, workload);
  if (!bound) return std::nullopt;
  return 100.0 * *bound / measured.median_s;
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

double best_tokens_per_s(const WorkloadResult& workload) {
  double best = 0;
  for (const SwitchResult& run : workload.switches) {
    best = std::max(best, tokens_per_s(run.measured));
  }
  return best;
}

int64_t tokens_computed(const Measured& measured) {
  const StepMetrics& steps = measured.metrics.steps;
  return steps.prefill_tokens() + steps.decode_tokens() + steps.padding_tokens();
}

Json op_seconds(const std::optional<OpSeconds>& ops) {
  if (!ops) return nullptr;
  return {{"linear", ops->linear},     {"attention", ops->attention},
          {"kv_cache", ops->kv_cache}, {"elementwise", ops->elementwise},
          {"lm_head", ops->lm_head},   {"sampling", ops->sampling}};
}

Json measured_json(const BenchResult& result, const WorkloadResult& workload,
                   const SwitchResult& run) {
  const RunMetrics& metrics = run.measured.metrics;
  return {{"name", run.name},
          {"seconds", run.measured.seconds},
          {"median_s", run.measured.median_s},
          {"best_s", run.measured.best_s},
          {"load_s", metrics.time.load_s},
          {"plan_s", metrics.time.plan_s},
          {"run_s", metrics.time.run_s},
          {"engine_wait_percent", metrics.time.engine_wait_percent()},
          {"op_time_s", op_seconds(metrics.ops)},
          {"prefill_computed", metrics.tokens.prefill_computed},
          {"recomputed", metrics.tokens.recomputed},
          {"padding", metrics.tokens.padding},
          {"yields", metrics.prediction.yields},
          {"tokens_computed", tokens_computed(run.measured)},
          {"steps", metrics.steps.count()},
          {"tokens_per_s", tokens_per_s(run.measured)},
          {"of_the_best", tokens_per_s(run.measured) / best_tokens_per_s(workload)},
          {"percent_of_bound", or_null(percent_of_bound(result, workload, run.measured))},
          {"peak_kv_bytes", metrics.memory.peak_kv_bytes},
          {"options", metrics.options}};
}

Json workload_json(const BenchResult& result, const WorkloadResult& workload) {
  const TokenCounts& tokens = workload.switches.front().measured.metrics.tokens;
  Json runs = Json::array();
  for (const SwitchResult& run : workload.switches) {
    runs.push_back(measured_json(result, workload, run));
  }
  return {{"name", workload.workload.name},
          {"description", workload.workload.description},
          {"input_digest", workload.input_digest},
          {"requests", workload.workload.requests.size()},
          {"prompt_tokens", tokens.prompt},
          {"prompt_tokens_distinct", tokens.prefill_ideal},
          {"output_tokens", tokens.output},
          {"flops", workload.needs.flops},
          {"bound_s", or_null(bound_s(result, workload))},
          {"kv_bytes", workload.needs.kv_bytes},
          {"runs", std::move(runs)}};
}

std::string or_dash(const char* format, const std::optional<double>& value) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

}  // namespace

double tokens_per_s(const Measured& measured) {
  const TokenCounts& tokens = measured.metrics.tokens;
  return static_cast<double>(tokens.prompt + tokens.output) / measured.median_s;
}

std::string machine_line(const BenchResult& result) {
  const MachineInfo& machine = result.workloads.front().switches.front().measured.metrics.machine;
  const std::string engine = machine.gpu
                                 ? fmt::format("{}, compute capability {}.{}", machine.gpu->name,
                                               machine.gpu->cc_major, machine.gpu->cc_minor)
                                 : fmt::format("{} threads, FMA peak {:.0f} GFLOP/s",
                                               machine.threads, result.fma_flops / 1e9);
  return fmt::format("prefold {} ({}), {}, {}, {}; seed {}, {} runs each\n", PREFOLD_VERSION,
                     PREFOLD_COMMIT, machine.cpu, machine.isa, engine, result.seed, result.repeat);
}

std::string workload_table(const BenchResult& result) {
  std::string table =
      "| workload     | requests | prompt tokens | computed | output tokens | steps | median s | "
      "best s | tokens/s | bound s | of bound |\n"
      "|--------------|---------:|--------------:|---------:|--------------:|------:|---------:|"
      "-------:|---------:|--------:|---------:|\n";
  for (const WorkloadResult& workload : result.workloads) {
    const Measured& measured = workload.switches.front().measured;
    const TokenCounts& tokens = measured.metrics.tokens;
    table += fmt::format(
        "| {:<12} | {:>8} | {:>13} | {:>8} | {:>13} | {:>5} | {:>8.2f} | {:>6.2f} | {:>8.0f} | "
        "{:>7} | {:>8} |\n",
        workload.workload.name, workload.workload.requests.size(), tokens.prompt,
        tokens.prefill_computed, tokens.output, measured.metrics.steps.count(), measured.median_s,
        measured.best_s, tokens_per_s(measured), or_dash("{:.2f}", bound_s(result, workload)),
        or_dash("{:.1f} %", percent_of_bound(result, workload, measured)));
  }
  return table;
}

std::string op_table(const BenchResult& result) {
  if (!result.workloads.front().switches.front().measured.metrics.ops) return "";
  std::string table =
      "| seconds      | linear | attention | KV cache | elementwise | LM head | sampling | plan  | "
      "other | engine waits |\n"
      "|--------------|-------:|----------:|---------:|------------:|--------:|---------:|------:|"
      "------:|-------------:|\n";
  for (const WorkloadResult& workload : result.workloads) {
    const Measured& measured = workload.switches.front().measured;
    const OpSeconds& ops = *measured.metrics.ops;
    const double plan_s = measured.metrics.time.plan_s;
    const double other_s = measured.median_s - plan_s - ops.linear - ops.attention - ops.kv_cache -
                           ops.elementwise - ops.lm_head - ops.sampling;
    table += fmt::format(
        "| {:<12} | {:>6.2f} | {:>9.2f} | {:>8.2f} | {:>11.2f} | {:>7.2f} | {:>8.2f} | {:>5.2f} | "
        "{:>5.2f} | {:>10.2f} % |\n",
        workload.workload.name, ops.linear, ops.attention, ops.kv_cache, ops.elementwise,
        ops.lm_head, ops.sampling, plan_s, other_s, measured.metrics.time.engine_wait_percent());
  }
  return table;
}

std::string ablation_table(const WorkloadResult& workload) {
  const double best = best_tokens_per_s(workload);
  std::string table = fmt::format(
      "| {:<27} | tokens computed | steps | median s | tokens/s | of the best |\n"
      "|-----------------------------|----------------:|------:|---------:|---------:|------------:"
      "|"
      "\n",
      workload.workload.name);
  for (const SwitchResult& run : workload.switches) {
    table += fmt::format("| {:<27} | {:>15} | {:>5} | {:>8.2f} | {:>8.0f} | {:>11.2f} |\n",
                         run.name, tokens_computed(run.measured),
                         run.measured.metrics.steps.count(), run.measured.median_s,
                         tokens_per_s(run.measured), tokens_per_s(run.measured) / best);
  }
  return table;
}

Json bench_json(const BenchResult& result) {
  const RunMetrics& first = result.workloads.front().switches.front().measured.metrics;
  Json workloads = Json::array();
  for (const WorkloadResult& workload : result.workloads) {
    workloads.push_back(workload_json(result, workload));
  }
  return {{"schema", kBenchSchema},
          {"version", PREFOLD_VERSION},
          {"commit", PREFOLD_COMMIT},
          {"compiler", __VERSION__},
          {"build", PREFOLD_BUILD_TYPE},
          {"machine",
           {{"cpu", first.machine.cpu},
            {"isa", first.machine.isa},
            {"threads", first.machine.threads},
            {"gpu", first.machine.gpu ? Json(first.machine.gpu->name) : Json(nullptr)},
            {"fma_flops_per_s", result.fma_flops > 0 ? Json(result.fma_flops) : Json(nullptr)}}},
          {"model",
           {{"path", first.model.path},
            {"digest", first.model.digest},
            {"architecture", first.model.architecture}}},
          {"seed", result.seed},
          {"repeat", result.repeat},
          {"workloads", std::move(workloads)}};
}

}  // namespace prefold
