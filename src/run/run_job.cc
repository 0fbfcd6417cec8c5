#include "run/run_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "base/timer.h"
#include "engine/cpu_engine.h"
#include "io/output_file.h"
#include "io/result_writer.h"
#include "model/rope.h"
#include "plan/order.h"
#include "report/human_numbers.h"
#include "run/answers.h"
#include "run/batch_runner.h"
#include "run/host_info.h"
#include "run/length_prior.h"
#include "run/model_digest.h"
#include "run/prepared_job.h"

namespace prefold {
namespace {

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

// Blocks that the job could use at most: each node and each sequence by itself.
int64_t blocks_of_job(const PrefixTree& tree, const Job& job) {
  int64_t n_blocks = kSpareBlocks;
  for (const PrefixNode& node : tree.nodes) {
    n_blocks += blocks_for(node.n_tokens(), kKvBlockTokens) + 1;
  }
  for (const SequenceSpec& spec : job.sequences) {
    n_blocks += blocks_for(spec.max_tokens, kKvBlockTokens) + 1;
  }
  return n_blocks;
}

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
        model_(open_model(options.model)),
        config_(resolve(options, model_.config)),
        pool_(config_.threads),
        device_{&pool_, &find_cpu_kernels(config_.cpu_isa), config_.options.precision},
        text_(make_text_model(model_, created_unix_s_)),
        reader_(options.inputs, options.defaults),
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
    prepared_ =
        prepare_job(reader_, text_, config_, pool_, [&](const LineError& error, int64_t line_idx) {
          ++metrics_.requests.failed;
          lines_.write(line_idx, format_error(error));
        });
    metrics_.requests.total = prepared_.n_lines;
    for (int32_t i = 0; i < prepared_.prompts.size(); ++i) spans_.push_back(prepared_.prompts[i]);
    tree_ = build_prefix_tree(spans_);
    const PrefixStats stats = prefix_stats(tree_);
    metrics_.tokens.prompt = stats.n_prompt_tokens;
    metrics_.tokens.prefill_ideal = stats.n_tree_tokens;
    if (config_.options.sharing != Sharing::kTree) tree_ = flat_tree(spans_);
    if (config_.options.batching == Batching::kSorted) {
      tree_ = order_by_length(tree_);
    } else if (config_.options.order == Order::kRatio) {
      const LengthsByGroup lengths = prior_of_groups(prior_, tree_, spans_);
      tree_ = order_by_ratio(tree_, predicted_decode_tokens(prepared_, tree_, lengths));
    }
    job_ = make_job(prepared_, spans_, tree_, config_.options.seed);
    job_.length_prior = prior_of_groups(prior_, tree_, spans_);
    output_.flush();
    metrics_.time.plan_s = timer_.lap();
    hooks_.info(fmt::format(
        "plan: {} requests, {} prompt tokens, {} of them distinct ({:.1f} % need not be computed)",
        prepared_.n_lines, stats.n_prompt_tokens, stats.n_tree_tokens, stats.saved_percent));
  }

  void execute() {
    const int32_t n_blocks =
        static_cast<int32_t>(std::min<int64_t>(config_.n_kv_blocks, blocks_of_job(tree_, job_)));
    timer_.lap();
    const Weights weights = load_weights(model_, pool_);
    const RopeTable rope_table = make_rope_table(model_.config.rope, config_.max_model_len);
    KvStorage kv(
        {config_.kv_type, model_.config.n_layers, model_.config.n_kv_heads, model_.config.head_dim},
        n_blocks);
    CpuEngine engine(device_, model_.config, weights, rope_table, kv, config_.token_budget);
    metrics_.time.load_s += timer_.lap();
    metrics_.memory.kv_pool_blocks = n_blocks;
    metrics_.memory.kv_pool_bytes = n_blocks * config_.kv_bytes_per_block;
    hooks_.info(
        fmt::format("memory: weights {}; KV cache {} = {} blocks x {} tokens; activations {}",
                    human_bytes(static_cast<int64_t>(weights.bytes())),
                    human_bytes(metrics_.memory.kv_pool_bytes), n_blocks, kKvBlockTokens,
                    human_bytes(static_cast<int64_t>(engine.workspace_bytes()))));

    Timer run_timer;
    const SchedulePolicy policy{config_.options.chunked_prefill, config_.options.length_prediction,
                                config_.options.batching != Batching::kPacked,
                                config_.options.shared_attention,
                                config_.options.sharing == Sharing::kLru};
    Scheduler scheduler(job_, {config_.token_budget, n_blocks, policy});
    const ResultFormat format{created_unix_s_, model_.config.name, config_.options.usage_details};
    Answers answers(
        prepared_, job_, text_,
        [&](int32_t request, const Result& result) {
          ++metrics_.requests.succeeded;
          metrics_.tokens.output += result.usage.completion_tokens;
          metrics_.latency.add(run_timer.seconds());
          lines_.write(prepared_.line_of_request[request],
                       format_result(prepared_.requests[request].request, result, format));
        },
        [&](int32_t) { metrics_.ttft.add(run_timer.seconds()); });
    run_to_end(scheduler, engine, answers, [&](const StepPlan& plan) {
      output_.flush();
      metrics_.steps.add(step_sample(plan, scheduler, run_timer.seconds()));
      hooks_.progress({metrics_.requests.succeeded + metrics_.requests.failed,
                       metrics_.requests.total, n_output_so_far_ += std::ssize(plan.samples)});
    });
    metrics_.time.run_s = timer_.lap();
    const ScheduleCounters& counters = scheduler.counters();
    metrics_.tokens.prefill_computed = counters.prefill_rows;
    metrics_.tokens.prefill_reused = metrics_.tokens.prompt - counters.prefill_rows;
    metrics_.tokens.recomputed = counters.recomputed_rows;
    metrics_.tokens.padding = counters.padding_rows;
    metrics_.prediction = {counters.n_yields, counters.n_predicted,
                           counters.prediction_error_tokens, counters.n_under_predicted};
    metrics_.output_lengths = output_lengths_json(scheduler.lengths().observed(), tree_, spans_);
    metrics_.memory.peak_kv_bytes = scheduler.pool().peak_used() * config_.kv_bytes_per_block;
    metrics_.ops = to_op_seconds(engine.times());
  }

  static OpSeconds to_op_seconds(const EngineTimes& times) {
    return {times.ops.linear,      times.ops.attention, times.ops.kv_append + times.copies,
            times.ops.elementwise, times.ops.lm_head,   times.sampling};
  }

  void fill_metrics() {
    metrics_.machine = {cpu_name(), config_.cpu_isa, config_.threads};
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
  Device device_;
  TextModel text_;
  RequestReader reader_;
  OutputFile output_;
  LineWriter lines_;
  PreparedJob prepared_;
  std::vector<TokenSpan> spans_;
  LengthPrior prior_;
  PrefixTree tree_;
  Job job_;
  RunMetrics metrics_;
  int64_t n_output_so_far_ = 0;
};

}  // namespace

RunOutcome run_job(const RunOptions& options, const RunHooks& hooks) {
  return JobRun(options, hooks).run();
}

}  // namespace prefold
