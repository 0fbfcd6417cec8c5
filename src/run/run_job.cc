#include "run/run_job.h"

#include <fmt/format.h>

#include <cstring>
#include <ctime>

#include "base/timer.h"
#include "io/result_writer.h"
#include "plan/prefix_forest.h"
#include "run/backend.h"
#include "run/cost_store.h"
#include "run/host_info.h"
#include "run/job_output.h"
#include "run/job_plan.h"
#include "run/length_prior.h"
#include "run/prepared_job.h"
#include "run/resume.h"
#include "run/run_model.h"
#include "run/run_notes.h"
#include "run/run_steps.h"

namespace prefold {
namespace {

// Of the prefix tree, in the report.
constexpr size_t kForestNodes = 200;

// The state of one run while it goes on.
class JobRun {
 public:
  JobRun(const RunOptions& options, const RunHooks& hooks)
      : hooks_(hooks),
        stop_(hooks.stop != nullptr ? *hooks.stop : never_stopped_),
        model_(open_run_model(options)),
        config_(resolve(options, model_)),
        reader_(options.inputs, config_.defaults),
        output_(options, journal_of(config_, model_, std::time(nullptr))),
        pool_(config_.threads),
        text_(make_text_model(model_, output_.job().created_unix_s)) {
    if (output_.is_resumed()) take_limits(output_.job(), config_);
    if (!options.length_prior.empty()) prior_ = read_length_prior(options.length_prior);
    metrics_.time.load_s = timer_.lap();
  }

  RunOutcome run() {
    try {
      return run_or_throw();
    } catch (const std::exception& error) {
      metrics_.stop = {"error", error.what()};
      end_after_error();
      throw;
    }
  }

 private:
  RunOutcome run_or_throw() {
    if (output_.is_resumed()) hooks_.info(what_is_kept(output_, config_));
    if (output_.is_complete()) return nothing_to_do();
    for (const Note& note : adapter_notes(model_, config_.options.lora)) hooks_.info(note);
    plan();
    if (!job_.sequences.empty() && !stop_.stopping()) execute();
    const bool all_done = prepared_.is_whole && metrics_.requests.left() == 0;
    output_.close(all_done);
    if (!all_done) tell_why_it_stopped();
    fill_metrics();
    const ExitStatus done =
        metrics_.requests.failed == 0 ? ExitStatus::kAllAnswered : ExitStatus::kSomeFailed;
    return {all_done ? done : ExitStatus::kStopped, metrics_, false, output_.can_be_resumed()};
  }

  // The error is what counts: one more in writing or counting is not told.
  void end_after_error() {
    try {
      output_.sync();
    } catch (const std::exception&) {
    }
    fill_metrics();
    if (hooks_.failed) hooks_.failed(metrics_);
  }

  RunOutcome nothing_to_do() {
    metrics_.requests.total = *output_.job().n_lines;
    metrics_.requests.kept_succeeded = output_.finished().n_answers();
    metrics_.requests.kept_failed = output_.finished().n_failures();
    metrics_.requests.succeeded = metrics_.requests.kept_succeeded;
    metrics_.requests.failed = metrics_.requests.kept_failed;
    output_.close(true);
    fill_metrics();
    const bool all_answered = metrics_.requests.failed == 0;
    return {all_answered ? ExitStatus::kAllAnswered : ExitStatus::kSomeFailed, metrics_, true,
            true};
  }

  void plan() {
    cost_key_ = cost_key(model_, config_);
    costs_ = find_costs(config_, cost_key_, cache_folder(), hooks_.info);
    read();
    if (stop_.stopping()) return;
    const PromptStore& prompts = prepared_.prompts;
    tree_ = build_prefix_tree(prompts, prepared_.adapters);
    const PrefixStats stats = prefix_stats(tree_);
    metrics_.prefix_forest = prefix_forest_json(
        tree_, kForestNodes, [&](int32_t prompt) { return prepared_.line_of[prompt] + 1; });
    metrics_.tokens.prompt = metrics_.tokens.prompt_unanswered = stats.n_prompt_tokens;
    metrics_.tokens.prefill_ideal = stats.n_tree_tokens;
    tree_ = tree_to_run(std::move(tree_), prepared_, config_.options, prior_);
    job_ = make_job(prepared_, tree_, config_.options.pooling);
    job_.length_prior = prior_of_groups(prior_, tree_, prompts, config_.options.lora);
    metrics_.time.plan_s = timer_.lap();
    hooks_.info(plan_note(prepared_, stats));
    if (!prepared_.extra_fields.none()) hooks_.info(extra_fields_note(prepared_.extra_fields));
  }

  void read() {
    PrepareHooks hooks{[&](const LineError& error, int64_t line_idx) {
                         ++metrics_.requests.failed;
                         output_.write(line_idx, format_error(error));
                       },
                       [&](int64_t n_lines, int64_t n_tokens) {
                         if (hooks_.reading) hooks_.reading({n_lines, n_tokens});
                       },
                       [&] { return stop_.stopping(); }};
    if (output_.is_resumed()) hooks.finished = &output_.finished();
    if (config_.options.max_requests) hooks.max_requests = *config_.options.max_requests;
    prepared_ = prepare_job(std::move(reader_), text_, config_, pool_, hooks);
    RequestCounts& requests = metrics_.requests;
    requests.total = prepared_.n_lines;
    requests.kept_failed = prepared_.n_finished_failures;
    requests.kept_succeeded = prepared_.n_finished - prepared_.n_finished_failures;
    requests.failed += requests.kept_failed;
    requests.succeeded = requests.kept_succeeded;
    output_.drop_finished();
    if (!prepared_.is_whole) return;
    if (output_.is_resumed()) check_what_is_kept(output_, prepared_, config_);
    output_.all_read(prepared_.inputs, prepared_.n_lines);
  }

  // The costs by which to plan, measured now if they are not known yet.
  void settle_costs(Backend& backend) {
    timer_.lap();
    std::string origin = "known from";
    if (!costs_) {
      if (const std::optional<MeasuredCosts> measured = backend.measure_costs()) {
        const bool keep = measured->is_worth_keeping();
        costs_ = store_costs(measured->model, cost_key_,
                             keep ? cache_folder() : std::filesystem::path(), hooks_.info);
        origin = keep ? "measured, kept in" : "measured beside other programs, kept in";
      } else {
        costs_ = ChosenCosts{default_cost_model(), CostSource::kBuiltIn, {}};
      }
    }
    config_.token_budget = token_budget_of(config_, model_.config, costs_->model);
    metrics_.cost_model = to_json(*costs_);
    const double seconds = timer_.lap();
    metrics_.time.plan_s += seconds;
    hooks_.info(costs_note(*costs_, origin, seconds, config_.token_budget));
  }

  void execute() {
    if (const std::optional<Note> note = device_note(config_)) hooks_.info(*note);
    timer_.lap();
    const std::unique_ptr<Backend> backend = make_backend(model_, config_, pool_, hooks_.info);
    backend->load_weights();
    metrics_.time.load_s += timer_.lap();
    if (stop_.stopping()) return;
    settle_costs(*backend);
    const ScheduleLimits limits = schedule_limits(config_, model_.config, job_, costs_->model);
    Engine& engine = backend->start(job_, limits);
    metrics_.time.load_s += timer_.lap();
    metrics_.memory.kv_pool_blocks = limits.n_blocks;
    metrics_.memory.kv_pool_bytes = limits.n_blocks * config_.kv_bytes_per_block;
    hooks_.info({"memory",
                 "memory: " + backend->memory_line(),
                 {{"kv_cache_bytes", metrics_.memory.kv_pool_bytes}}});
    run_steps({config_, model_.config, costs_->model, text_, prepared_, tree_, job_, output_, stop_,
               hooks_.progress},
              engine, limits, metrics_);
    metrics_.ops = backend->op_seconds();
    metrics_.gpu = backend->gpu_metrics();
  }

  void fill_metrics() {
    metrics_.machine = {cpu_name(), config_.cpu_isa, config_.threads, config_.gpu};
    metrics_.model = {config_.options.model, output_.job().model_digest,
                      model_.config.architecture};
    metrics_.options = to_json(config_);
    metrics_.memory.peak_rss_bytes = peak_rss_bytes();
    metrics_.time.total_s = timer_.seconds();
  }

  void tell_why_it_stopped() {
    switch (stop_.reason()) {
      case StopReason::kNone:
        metrics_.stop = {"max_requests", ""};
        break;
      case StopReason::kTimeLimit:
        metrics_.stop = {"time_limit", ""};
        break;
      case StopReason::kSignal:
        metrics_.stop = {"signal", fmt::format("SIG{}", sigabbrev_np(stop_.signal()))};
        break;
    }
  }

  Timer timer_;  // first: the model's opening counts as load
  RunHooks hooks_;
  StopControl never_stopped_;
  StopControl& stop_;
  ModelFile model_;
  RunConfig config_;
  RequestReader reader_;  // until planned
  JobOutput output_;      // the writer's own while steps run
  ThreadPool pool_;
  TextModel text_;
  PreparedJob prepared_;
  LengthPrior prior_;
  PrefixTree tree_;
  Job job_;
  nlohmann::ordered_json cost_key_;
  std::optional<ChosenCosts> costs_;
  RunMetrics metrics_;
};

}  // namespace

RunOutcome run_job(const RunOptions& options, const RunHooks& hooks) {
  check_can_resume(options);
  return JobRun(options, hooks).run();
}

}  // namespace prefold
