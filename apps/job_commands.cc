// The commands that work on a file of prompts: run and plan.
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <fstream>

#include "base/error.h"
#include "base/timer.h"
#include "commands.h"
#include "io/utf8.h"
#include "plan/plan_table.h"
#include "report/human_numbers.h"
#include "report/report.h"
#include "run/cost_store.h"
#include "run/job_plan.h"
#include "run/prepared_job.h"
#include "run/run_job.h"

namespace prefold {
namespace {

constexpr int32_t kPlanRows = 20;
constexpr int32_t kPreviewTokens = 24;
constexpr size_t kPreviewBytes = 48;

void write_report(const std::string& path, const RunMetrics& metrics) {
  std::ofstream file(path);
  file << report_text(make_report(metrics));
  file.close();
  if (!file) throw Error(fmt::format("--report {}: cannot be written", path));
}

// Text on one line: control characters as spaces.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

// Steps, memory and time, in lines like those of the plan's table.
std::string render_forecast(const Forecast& foretold, const RunConfig& config,
                            const std::optional<ChosenCosts>& costs) {
  const auto line = [](const char* label, const std::string& value, const std::string& note) {
    return fmt::format("{:<18}{:>16}   {}\n", label, value, note);
  };
  return line("steps", grouped(foretold.n_steps),
              fmt::format("of {} tokens at most", grouped(config.token_budget))) +
         line("output tokens", grouped(foretold.n_samples), "as predicted") +
         line("KV cache", human_bytes(foretold.peak_blocks * config.kv_bytes_per_block),
              "in use at most") +
         (costs ? line("time", human_seconds(foretold.run_s), "for matrix products and attention")
                : line("time", "unknown",
                       config.gpu ? "what a step costs is not measured on a GPU"
                                  : "until a run has measured what a step costs here"));
}

}  // namespace

int run_command(const RunOptions& options) {
  Progress progress(stderr, options.quiet ? ProgressMode::kQuiet : progress_mode_for(stderr));
  Timer timer;
  ProgressCounts last;
  const RunHooks hooks{
      [&](const std::string& line) {
        if (options.quiet) return;
        progress.clear();
        fmt::print(stderr, "{}\n", line);
      },
      [&](const ProgressCounts& counts) {
        last = counts;
        progress.update(counts, timer.seconds());
      },
      [&](const ReadingCounts& counts) { progress.update_reading(counts, timer.seconds()); }};
  const RunOutcome outcome = run_job(options, hooks);
  progress.finish(last, timer.seconds());
  if (!options.report.empty()) write_report(options.report, outcome.metrics);
  if (!options.quiet) fmt::print(stderr, "{}", summary_table(outcome.metrics));
  return static_cast<int>(outcome.status);
}

int plan_command(const RunOptions& options) {
  const ModelFile model = open_model(options.model);
  RunConfig config = resolve(options, model);
  if (config.gpu) {
    fmt::print(stderr, "device: {}, {} of {} free\n", config.gpu->name,
               human_bytes(config.gpu->free_bytes), human_bytes(config.gpu->memory_bytes));
  }
  const auto warn = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  const std::optional<ChosenCosts> costs =
      find_costs(config, cost_key(model, config), cache_folder(), warn);
  ThreadPool pool(config.threads);
  const TextModel text = make_text_model(model, std::time(nullptr));
  RequestReader reader(options.inputs, config.defaults);
  Progress progress(stderr, options.quiet ? ProgressMode::kQuiet : progress_mode_for(stderr));
  Timer timer;
  int64_t n_failed = 0;
  const PrepareHooks hooks{[&](const LineError& error, int64_t) {
                             ++n_failed;
                             progress.clear();
                             fmt::print(stderr, "{}\n", error.failure.message);
                           },
                           [&](int64_t n_lines, int64_t n_tokens) {
                             progress.update_reading({n_lines, n_tokens}, timer.seconds());
                           }};
  PreparedJob prepared = prepare_job(std::move(reader), text, config, pool, hooks);
  progress.clear();
  const std::span<const TokenSpan> prompts = prepared.prompts.prompts();
  const PrefixTree tree = build_prefix_tree(prompts);
  const auto preview = [&](int32_t node_idx) {
    const PrefixNode& node = tree.nodes[node_idx];
    const TokenSpan tokens = prompts[node.representative].subspan(
        node.depth_begin, std::min(node.n_tokens(), kPreviewTokens));
    const std::string shown =
        one_line(text.tokenizer.decode({tokens.begin(), tokens.end()}, false));
    return std::string(utf8_head(shown, kPreviewBytes));
  };
  fmt::print("{}", render_plan_table(tree, kPlanRows, preview));
  if (costs) config.token_budget = token_budget_of(config, model.config, costs->model);
  const PrefixTree run_tree = tree_to_run(tree, prepared, options, {});
  const Job job = make_job(prepared, run_tree, config.options.pooling);
  const std::optional<Forecast> foretold =
      forecast(job, config, model.config, costs ? costs->model : default_cost_model());
  fmt::print("\n{}", foretold ? render_forecast(*foretold, config, costs)
                              : fmt::format("more than {} rows: steps, memory and time are not "
                                            "foretold\n",
                                            grouped(kMaxForecastRows)));
  if (n_failed > 0)
    fmt::print(stderr, "{} lines are no requests that could be answered\n", n_failed);
  return n_failed > 0 ? static_cast<int>(ExitStatus::kSomeFailed) : 0;
}

}  // namespace prefold
