// The commands that work on a file of prompts: run and plan.
#include <fmt/format.h>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <future>
#include <memory>
#include <new>
#include <thread>

#include "base/error.h"
#include "base/timer.h"
#include "commands.h"
#include "io/durable_file.h"
#include "io/utf8.h"
#include "plan/plan_table.h"
#include "report/human_numbers.h"
#include "report/metrics_file.h"
#include "report/report.h"
#include "report/run_log.h"
#include "run/cost_store.h"
#include "run/job_plan.h"
#include "run/prepared_job.h"
#include "run/run_job.h"
#include "run/run_model.h"
#include "run/run_notes.h"
#include "stop_watch.h"

namespace prefold {
namespace {

constexpr int32_t kPlanRows = 20;
constexpr int32_t kPreviewTokens = 24;
constexpr size_t kPreviewBytes = 48;

void write_report(const std::string& path, const RunMetrics& metrics) {
  try {
    replace_file(path, report_text(make_report(metrics)));
  } catch (const Error& error) {
    throw Error(fmt::format("--report: {}", error.what()));
  }
}

// After an error, which is the one to tell.
void try_to_report(const std::string& path, const RunMetrics& metrics) {
  if (path.empty()) return;
  try {
    write_report(path, metrics);
  } catch (const Error&) {
  }
}

Note nothing_to_do_note(const RequestCounts& requests) {
  return {"nothing_to_do",
          fmt::format("nothing to do: all {} requests are answered, {} of them with an error",
                      requests.total, requests.failed),
          {{"requests", requests.total}, {"failed", requests.failed}}};
}

// What is said when a run ends before its job is done.
Note stopped_note(const RunOutcome& outcome) {
  const StopInfo& stop = outcome.metrics.stop;
  const RequestCounts& requests = outcome.metrics.requests;
  const char* how = outcome.can_be_resumed
                        ? "resumable: same command with --resume"
                        : "not resumable, since the input or the output is no regular file";
  return {
      "stopped",
      fmt::format("stopped, {} ({}; {} of {} requests are left)", how,
                  stop.detail.empty() ? stop.reason : stop.detail, requests.left(), requests.total),
      {{"reason", stop.reason},
       {"detail", stop.detail},
       {"resumable", outcome.can_be_resumed},
       {"requests", requests.total},
       {"left", requests.left()}}};
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

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The metrics of a run that is ended at once, unless its disk does not answer within a second.
void finish_in_time(MetricsFile& metrics) {
  const auto written = std::make_shared<std::promise<void>>();
  std::future<void> done = written->get_future();
  std::thread([&metrics, written] {
    metrics.finish(RunEnd::kStopped, unix_seconds());
    written->set_value();
  }).detach();
  done.wait_for(std::chrono::seconds(1));
}

RunEnd run_end_of(ExitStatus status) {
  switch (status) {
    case ExitStatus::kAllAnswered:
      return RunEnd::kAllAnswered;
    case ExitStatus::kSomeFailed:
      return RunEnd::kSomeFailed;
    case ExitStatus::kCannotRun:
      return RunEnd::kCannotRun;
    case ExitStatus::kStopped:
      return RunEnd::kStopped;
  }
  return RunEnd::kCannotRun;
}

}  // namespace

int run_command(const RunOptions& options) {
  RunLog log(stderr, options.log_format, options.quiet);
  std::optional<MetricsFile> metrics;
  const auto finish_metrics = [&](RunEnd end) {
    if (!metrics || metrics->finish(end, unix_seconds())) return;
    log.note(
        fmt::format("warning: --metrics {}: the last figures cannot be written", options.metrics));
  };
  const auto fail = [&](const char* why) {
    finish_metrics(RunEnd::kCannotRun);
    log.error(why);
    return static_cast<int>(ExitStatus::kCannotRun);
  };
  try {
    if (!options.metrics.empty()) metrics.emplace(options.metrics, PREFOLD_VERSION, unix_seconds());
  } catch (const Error& error) {
    return fail(error.what());
  }
  StopControl stop;
  const StopWatch watch(stop, {options.time_limit_s, options.grace_s}, [&] {
    if (metrics) finish_in_time(*metrics);
    const Note note("stopped", "stopped at once: finished answers are written, the report is not",
                    {{"reason", "at_once"}});
    fmt::print(stderr, "{}", log_text(note, options.log_format, std::chrono::system_clock::now()));
    std::_Exit(static_cast<int>(ExitStatus::kStopped));
  });
  Timer timer;
  ProgressCounts last;
  const RunHooks hooks{[&](const Note& note) { log.note(note); },
                       [&](const ProgressCounts& counts) {
                         last = counts;
                         log.progress(counts, timer.seconds());
                         if (metrics) metrics->update(counts, unix_seconds());
                       },
                       [&](const ReadingCounts& counts) {
                         log.reading(counts, timer.seconds());
                         if (metrics) metrics->update(counts, unix_seconds());
                       },
                       [&](const RunMetrics& counted) { try_to_report(options.report, counted); },
                       &stop};
  try {
    const RunOutcome outcome = run_job(options, hooks);
    log.finish_progress(last, timer.seconds());
    // The report of the run that did the work is worth more than that of one with nothing to do.
    const bool keep_report = outcome.nothing_to_do && access(options.report.c_str(), F_OK) == 0;
    if (!options.report.empty() && !keep_report) write_report(options.report, outcome.metrics);
    if (metrics && !outcome.nothing_to_do) metrics->update_last(outcome.metrics);
    finish_metrics(run_end_of(outcome.status));
    if (outcome.nothing_to_do) {
      log.note(nothing_to_do_note(outcome.metrics.requests));
    } else {
      log.summary(outcome.metrics, static_cast<int>(outcome.status));
    }
    if (outcome.status == ExitStatus::kStopped) log.stopped(stopped_note(outcome));
    return static_cast<int>(outcome.status);
  } catch (const Error& error) {
    return fail(error.what());
  } catch (const std::bad_alloc&) {
    return fail("out of memory");
  }
}

int plan_command(const PlanOptions& typed) {
  if (!typed.shards.empty()) return divide_command(typed);
  const RunOptions& options = typed.run;
  const ModelFile model = open_run_model(options);
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
  RunLog log(stderr, LogFormat::kText, options.quiet);
  for (const Note& note : adapter_notes(model, options.lora)) log.note(note);
  Timer timer;
  int64_t n_failed = 0;
  const PrepareHooks hooks{[&](const LineError& error, int64_t) {
                             ++n_failed;
                             log.clear();
                             fmt::print(stderr, "{}\n", error.failure.message);
                           },
                           [&](int64_t n_lines, int64_t n_tokens) {
                             log.reading({n_lines, n_tokens}, timer.seconds());
                           }};
  PreparedJob prepared = prepare_job(std::move(reader), text, config, pool, hooks);
  log.clear();
  const PromptStore& prompts = prepared.prompts;
  PrefixTree tree = build_prefix_tree(prompts, prepared.adapters);
  const auto preview = [&](int32_t node_idx) {
    const PrefixNode& node = tree.nodes[node_idx];
    const TokenSpan tokens = prompts[node.representative].subspan(
        node.depth_begin, std::min(node.n_tokens(), kPreviewTokens));
    const std::string shown =
        one_line(text.tokenizer.decode({tokens.begin(), tokens.end()}, false));
    const int32_t adapter = tree.adapter_of_node(node_idx);
    return (adapter == kNoAdapter ? "" : fmt::format("[{}] ", options.lora[adapter].name)) +
           std::string(utf8_head(shown, kPreviewBytes));
  };
  fmt::print("{}", render_plan_table(tree, kPlanRows, preview));
  if (costs) config.token_budget = token_budget_of(config, model.config, costs->model);
  tree = tree_to_run(std::move(tree), prepared, options, {});
  const Job job = make_job(prepared, tree, config.options.pooling);
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
