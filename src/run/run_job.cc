#include "run/run_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <unordered_map>
#include <utility>

#include "base/background_queue.h"
#include "base/timer.h"
#include "plan/prefix_forest.h"
#include "run/answer_writer.h"
#include "run/backend.h"
#include "run/batch_runner.h"
#include "run/cost_store.h"
#include "run/host_info.h"
#include "run/job_output.h"
#include "run/job_plan.h"
#include "run/length_prior.h"
#include "run/prepared_job.h"
#include "run/resume.h"
#include "run/run_meter.h"
#include "run/run_model.h"
#include "run/run_notes.h"

namespace prefold {
namespace {

// Of the prefix tree, in the report.
constexpr size_t kForestNodes = 200;

// Steps whose finished answers may wait to be written.
constexpr size_t kMaxWaitingSteps = 16;

StepSample step_sample(const StepPlan& plan, const Scheduler& scheduler, double now_s) {
  StepSample sample;
  sample.end_s = now_s;
  sample.padding_tokens = plan.n_padding_rows;
  const auto n_tokens = std::ssize(plan.token_ids) - plan.n_padding_rows;
  sample.decode_tokens =
      std::count(plan.token_ids.begin(), plan.token_ids.end(), StepPlan::kFromSlot);
  sample.prefill_tokens = n_tokens - sample.decode_tokens;
  sample.live_requests = scheduler.n_running();
  sample.kv_blocks = scheduler.pool().n_used();
  return sample;
}

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
    const std::span<const TokenSpan> prompts = prepared_.prompts.prompts();
    tree_ = build_prefix_tree(prompts, prepared_.adapters);
    const PrefixStats stats = prefix_stats(tree_);
    metrics_.prefix_forest = prefix_forest_json(tree_, kForestNodes, [&](int32_t prompt) {
      return prepared_.requests[prompt].line_idx + 1;
    });
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
    run_steps(engine, limits);
    metrics_.ops = backend->op_seconds();
    metrics_.gpu = backend->gpu_metrics();
  }

  void run_steps(Engine& engine, const ScheduleLimits& limits) {
    Timer run_timer;
    Scheduler scheduler(job_, limits);
    AnswerWriter answer_writer(
        prepared_, tree_, text_.tokenizer,
        {output_.job().created_unix_s, model_.config.name, config_.options.usage_details}, output_,
        stop_);
    BackgroundQueue<std::vector<FinishedAnswer>> writer(
        kMaxWaitingSteps,
        [&](std::span<std::vector<FinishedAnswer>> steps) { answer_writer.write(steps); });
    std::vector<FinishedAnswer> finished;  // by the last step
    Answers answers(
        prepared_, job_, text_.tokenizer,
        [&](int32_t leader) {
          for_each_repeat(leader, [&](int32_t) { metrics_.ttft.add(run_timer.seconds()); });
        },
        [&](FinishedAnswer answer) {
          const ParameterSet& set = prepared_.parameters_of(answer.leader);
          const int64_t n_copies = set.params.n / set.n_computed;
          for_each_repeat(answer.leader, [&](int32_t request) {
            metrics_.tokens.prompt_unanswered -= std::ssize(prepared_.prompts[request]);
            if (!completes_line(request)) return;
            ++metrics_.requests.succeeded;
            metrics_.tokens.output += answer.n_tokens * n_copies;
            metrics_.latency.add(run_timer.seconds());
          });
          finished.push_back(std::move(answer));
        });
    RunMeter meter(job_, scheduler, costs_->model, model_.config.n_layers,
                   config_.kv_bytes_per_block, answers);
    double pushed_s = 0;
    const double busy_s = run_to_end(scheduler, engine, meter, stop_, [&](const StepPlan& plan) {
      const double now_s = run_timer.seconds();
      if (finished.empty() && now_s - pushed_s < JobOutput::kSyncIntervalS) {
        stop_.drop_unwritten(1);
      } else {  // without answers: what was written before may have to be synced
        writer.push(std::exchange(finished, {}));
        pushed_s = now_s;
      }
      const StepSample sample = step_sample(plan, scheduler, now_s);
      metrics_.steps.add(sample);
      meter.add(sample);
      hooks_.progress(progress_counts(meter));
    });
    writer.finish();
    metrics_.time.run_s = timer_.lap();
    metrics_.time.engine_wait_s = metrics_.time.run_s - busy_s;
    const ScheduleCounters& counters = scheduler.counters();
    metrics_.tokens.prefill_computed = counters.prefill_rows;
    metrics_.tokens.prefill_reused = std::max<int64_t>(
        metrics_.tokens.prompt - metrics_.tokens.prompt_unanswered - counters.prefill_rows, 0);
    metrics_.tokens.recomputed = counters.recomputed_rows;
    metrics_.tokens.padding = counters.padding_rows;
    metrics_.prediction = {counters.n_yields, counters.n_predicted,
                           counters.prediction_error_tokens, counters.n_under_predicted};
    metrics_.output_lengths = output_lengths_json(
        scheduler.lengths().observed(), tree_, prepared_.prompts.prompts(), config_.options.lora);
    metrics_.memory.peak_kv_bytes = scheduler.pool().peak_used() * config_.kv_bytes_per_block;
  }

  template <typename Fn>
  void for_each_repeat(int32_t leader, Fn&& fn) const {
    for (int32_t i = leader; i >= 0; i = prepared_.requests[i].next_repeat) fn(i);
  }

  // Whether all else of the request's line has been answered: the other inputs of an embedding
  // line.
  bool completes_line(int32_t request) {
    const LineParts parts = parts_of_line(prepared_, request);
    if (parts.n == 1) return true;
    int32_t& n_left = inputs_left_.try_emplace(parts.first, parts.n).first->second;
    if (--n_left > 0) return false;
    inputs_left_.erase(parts.first);
    return true;
  }

  ProgressCounts progress_counts(RunMeter& meter) const {
    ProgressCounts counts = meter.counts();
    counts.requests_done = metrics_.requests.succeeded + metrics_.requests.failed;
    counts.requests_failed = metrics_.requests.failed;
    counts.requests_total = metrics_.requests.total;
    return counts;
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
  std::unordered_map<int32_t, int32_t> inputs_left_;  // of embedding lines, by first request
  RunMetrics metrics_;
};

}  // namespace

RunOutcome run_job(const RunOptions& options, const RunHooks& hooks) {
  check_can_resume(options);
  return JobRun(options, hooks).run();
}

}  // namespace prefold
