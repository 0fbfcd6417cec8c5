#include "run/run_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/background_queue.h"
#include "base/timer.h"
#include "io/output_file.h"
#include "io/result_writer.h"
#include "report/human_numbers.h"
#include "run/answers.h"
#include "run/backend.h"
#include "run/batch_runner.h"
#include "run/cost_store.h"
#include "run/embedding_lines.h"
#include "run/gpu.h"
#include "run/host_info.h"
#include "run/job_plan.h"
#include "run/length_prior.h"
#include "run/model_digest.h"
#include "run/prepared_job.h"
#include "run/result_builder.h"
#include "run/run_meter.h"
#include "run/run_model.h"

namespace prefold {
namespace {

// Steps whose finished answers may wait to be written.
constexpr size_t kMaxWaitingSteps = 16;

// Result lines, written as they come or in input order.
class LineWriter {
 public:
  LineWriter(OutputFile& file, bool ordered) : file_(file), ordered_(ordered) {}

  void write(int64_t line_idx, std::string line) {
    if (!ordered_) {
      file_.append_line(line);
      return;
    }
    waiting_.emplace(line_idx, std::move(line));
    for (auto next = waiting_.begin(); next != waiting_.end() && next->first == n_written_;
         next = waiting_.erase(next)) {
      file_.append_line(next->second);
      ++n_written_;
    }
  }

 private:
  OutputFile& file_;
  bool ordered_;
  int64_t n_written_ = 0;
  std::map<int64_t, std::string> waiting_;  // by place in the input
};

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
        created_unix_s_(std::time(nullptr)),
        model_(open_run_model(options)),
        config_(resolve(options, model_)),
        pool_(config_.threads),
        text_(make_text_model(model_, created_unix_s_)),
        reader_(options.inputs, config_.defaults),
        output_(options.output,
                options.overwrite ? ExistingOutput::kReplace : ExistingOutput::kRefuse,
                options.inputs),
        lines_(output_, options.ordered) {
    if (!options.length_prior.empty()) prior_ = read_length_prior(options.length_prior);
    metrics_.time.load_s = timer_.lap();
  }

  RunOutcome run() {
    plan();
    if (!job_.sequences.empty()) execute();
    output_.close();
    fill_metrics();
    const bool all_answered = metrics_.requests.failed == 0;
    return {all_answered ? ExitStatus::kAllAnswered : ExitStatus::kSomeFailed, metrics_};
  }

 private:
  void plan() {
    cost_key_ = cost_key(model_, config_);
    costs_ = find_costs(config_, cost_key_, cache_folder(), hooks_.info);
    const PrepareHooks hooks{[&](const LineError& error, int64_t line_idx) {
                               ++metrics_.requests.failed;
                               lines_.write(line_idx, format_error(error));
                             },
                             [&](int64_t n_lines, int64_t n_tokens) {
                               if (hooks_.reading) hooks_.reading({n_lines, n_tokens});
                             }};
    prepared_ = prepare_job(std::move(reader_), text_, config_, pool_, hooks);
    metrics_.requests.total = prepared_.n_lines;
    const std::span<const TokenSpan> prompts = prepared_.prompts.prompts();
    tree_ = build_prefix_tree(prompts, prepared_.adapters);
    const PrefixStats stats = prefix_stats(tree_);
    metrics_.tokens.prompt = stats.n_prompt_tokens;
    metrics_.tokens.prefill_ideal = stats.n_tree_tokens;
    tree_ = tree_to_run(std::move(tree_), prepared_, config_.options, prior_);
    job_ = make_job(prepared_, tree_, config_.options.pooling);
    job_.length_prior = prior_of_groups(prior_, tree_, prompts, config_.options.lora);
    output_.flush();
    metrics_.time.plan_s = timer_.lap();
    hooks_.info({"plan",
                 fmt::format("plan: {} requests, {} prompt tokens, {} of them distinct ({:.1f} % "
                             "need not be computed)",
                             prepared_.n_lines, stats.n_prompt_tokens, stats.n_tree_tokens,
                             stats.saved_percent),
                 {{"requests", prepared_.n_lines},
                  {"prompt_tokens", stats.n_prompt_tokens},
                  {"distinct_prompt_tokens", stats.n_tree_tokens}}});
    if (!prepared_.extra_fields.none()) {
      hooks_.info(
          {"note",
           "unknown fields, passed through to the results: " + prepared_.extra_fields.to_text(),
           {}});
    }
  }

  // The costs by which to plan, measured now if they are not known yet.
  void settle_costs(Backend& backend) {
    timer_.lap();
    std::string origin = "known from";
    if (!costs_) {
      if (const std::optional<CostModel> measured = backend.measure_costs()) {
        costs_ = store_costs(*measured, cost_key_, cache_folder(), hooks_.info);
        origin = "measured, kept in";
      } else {
        costs_ = ChosenCosts{default_cost_model(), CostSource::kBuiltIn, {}};
      }
    }
    config_.token_budget = token_budget_of(config_, model_.config, costs_->model);
    metrics_.cost_model = to_json(*costs_);
    const double seconds = timer_.lap();
    metrics_.time.plan_s += seconds;
    const std::string steps = fmt::format("steps of {} tokens", config_.token_budget);
    const nlohmann::ordered_json fields = {{"source", metrics_.cost_model.at("source")},
                                           {"path", metrics_.cost_model.at("path")},
                                           {"seconds", seconds},
                                           {"max_num_batched_tokens", config_.token_budget}};
    if (costs_->source == CostSource::kBuiltIn) {
      hooks_.info(
          {"costs",
           "costs: none are measured on a GPU, those of a CPU stand in (--cost-model); " + steps,
           fields});
      return;
    }
    hooks_.info({"costs",
                 fmt::format("costs: {} {} in {}; {}", origin,
                             costs_->path.empty() ? "memory" : costs_->path.string(),
                             human_seconds(seconds), steps),
                 fields});
  }

  void tell_device() const {
    if (!config_.gpu) {
      if (kHasCudaEngine && !config_.why_no_gpu.empty()) {
        hooks_.info({"device",
                     fmt::format("device: the CPU; no GPU: {}", config_.why_no_gpu),
                     {{"device", "cpu"}}});
      }
      return;
    }
    const GpuInfo& gpu = *config_.gpu;
    const int64_t kv_bytes = config_.n_kv_blocks * config_.kv_bytes_per_block;
    hooks_.info({"device",
                 fmt::format("device: {}, compute capability {}.{}, {} of {} free; weights will "
                             "take {}, activations and tables {}, the KV cache {} at most",
                             gpu.name, gpu.cc_major, gpu.cc_minor, human_bytes(gpu.free_bytes),
                             human_bytes(gpu.memory_bytes), human_bytes(config_.gpu_memory.weights),
                             human_bytes(config_.gpu_memory.work), human_bytes(kv_bytes)),
                 {{"device", "cuda"},
                  {"name", gpu.name},
                  {"memory_bytes", gpu.memory_bytes},
                  {"free_bytes", gpu.free_bytes},
                  {"weights_bytes", config_.gpu_memory.weights},
                  {"work_bytes", config_.gpu_memory.work},
                  {"kv_cache_bytes", kv_bytes}}});
  }

  void execute() {
    tell_device();
    timer_.lap();
    const std::unique_ptr<Backend> backend = make_backend(model_, config_, pool_, hooks_.info);
    backend->load_weights();
    metrics_.time.load_s += timer_.lap();
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
    BackgroundQueue<std::vector<FinishedAnswer>> writer(
        kMaxWaitingSteps,
        [&](std::span<std::vector<FinishedAnswer>> steps) { write_answers(steps); });
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
            if (!completes_line(request)) return;
            ++metrics_.requests.succeeded;
            metrics_.tokens.output += answer.n_tokens * n_copies;
            metrics_.latency.add(run_timer.seconds());
          });
          finished.push_back(std::move(answer));
        });
    RunMeter meter(job_, scheduler, costs_->model, model_.config.n_layers,
                   config_.kv_bytes_per_block, answers);
    const double busy_s = run_to_end(scheduler, engine, meter, [&](const StepPlan& plan) {
      if (!finished.empty()) writer.push(std::exchange(finished, {}));
      const StepSample sample = step_sample(plan, scheduler, run_timer.seconds());
      metrics_.steps.add(sample);
      meter.add(sample);
      hooks_.progress(progress_counts(meter));
    });
    writer.finish();
    metrics_.time.run_s = timer_.lap();
    metrics_.time.engine_wait_s = metrics_.time.run_s - busy_s;
    const ScheduleCounters& counters = scheduler.counters();
    metrics_.tokens.prefill_computed = counters.prefill_rows;
    metrics_.tokens.prefill_reused = metrics_.tokens.prompt - counters.prefill_rows;
    metrics_.tokens.recomputed = counters.recomputed_rows;
    metrics_.tokens.padding = counters.padding_rows;
    metrics_.prediction = {counters.n_yields, counters.n_predicted,
                           counters.prediction_error_tokens, counters.n_under_predicted};
    metrics_.output_lengths = output_lengths_json(
        scheduler.lengths().observed(), tree_, prepared_.prompts.prompts(), config_.options.lora);
    metrics_.memory.peak_kv_bytes = scheduler.pool().peak_used() * config_.kv_bytes_per_block;
  }

  // On the writer's thread; output_ and lines_ are its own meanwhile.
  void write_answers(std::span<std::vector<FinishedAnswer>> steps) {
    const ResultFormat format{created_unix_s_, model_.config.name, config_.options.usage_details};
    const auto write = [&](int32_t request, const Request& asked, const Result& result) {
      if (asked.embedding) {
        const std::optional<Result> whole = embeddings_.add(prepared_, request, result);
        if (!whole) return;
        lines_.write(prepared_.requests[request].line_idx, format_result(asked, *whole, format));
        return;
      }
      lines_.write(prepared_.requests[request].line_idx, format_result(asked, result, format));
    };
    for (std::vector<FinishedAnswer>& step : steps) {
      for (FinishedAnswer& answer : step) {
        build_results(std::move(answer), prepared_, tree_, text_.tokenizer, write);
      }
    }
    output_.flush();
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
    metrics_.model = {config_.options.model, model_digest(model_), model_.config.architecture};
    metrics_.options = to_json(config_);
    metrics_.memory.peak_rss_bytes = peak_rss_bytes();
    metrics_.time.total_s = timer_.seconds();
  }

  Timer timer_;  // first: the model's opening counts as load
  RunHooks hooks_;
  int64_t created_unix_s_;
  ModelFile model_;
  RunConfig config_;
  ThreadPool pool_;
  TextModel text_;
  RequestReader reader_;  // until planned
  OutputFile output_;
  LineWriter lines_;
  PreparedJob prepared_;
  LengthPrior prior_;
  PrefixTree tree_;
  Job job_;
  nlohmann::ordered_json cost_key_;
  std::optional<ChosenCosts> costs_;
  EmbeddingLines embeddings_;
  std::unordered_map<int32_t, int32_t> inputs_left_;  // of embedding lines, by first request
  RunMetrics metrics_;
};

}  // namespace

RunOutcome run_job(const RunOptions& options, const RunHooks& hooks) {
  return JobRun(options, hooks).run();
}

}  // namespace prefold
