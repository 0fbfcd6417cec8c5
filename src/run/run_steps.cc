#include "run/run_steps.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/background_queue.h"
#include "base/timer.h"
#include "run/answer_writer.h"
#include "run/answers.h"
#include "run/length_prior.h"
#include "run/run_meter.h"

namespace prefold {
namespace {

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

// What answers add to the metrics: an answer of a leader is one of each of its repeats.
class AnswerCounts {
 public:
  AnswerCounts(const PreparedJob& prepared, const Timer& timer, RunMetrics& metrics)
      : prepared_(prepared), timer_(timer), metrics_(metrics) {}

  void first_token(int32_t leader) {
    for_each_repeat(leader, [&](int32_t) { metrics_.ttft.add(timer_.seconds()); });
  }

  void finished(const FinishedAnswer& answer) {
    const ParameterSet& set = prepared_.parameters_of(answer.leader);
    const int64_t n_copies = set.params.n / set.n_computed;
    for_each_repeat(answer.leader, [&](int32_t request) {
      metrics_.tokens.prompt_unanswered -= std::ssize(prepared_.prompts[request]);
      if (!completes_line(request)) return;
      ++metrics_.requests.succeeded;
      metrics_.tokens.output += answer.n_tokens * n_copies;
      metrics_.latency.add(timer_.seconds());
    });
  }

 private:
  template <typename Fn>
  void for_each_repeat(int32_t leader, Fn&& fn) const {
    for (int32_t i = leader; i >= 0; i = prepared_.next_with_same_answer(i)) fn(i);
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

  const PreparedJob& prepared_;
  const Timer& timer_;
  RunMetrics& metrics_;
  std::unordered_map<int32_t, int32_t> inputs_left_;  // of embedding lines, by first request
};

ProgressCounts progress_counts(RunMeter& meter, const RequestCounts& requests) {
  ProgressCounts counts = meter.counts();
  counts.requests_done = requests.succeeded + requests.failed;
  counts.requests_failed = requests.failed;
  counts.requests_total = requests.total;
  return counts;
}

void count_schedule(const JobSteps& run, const Scheduler& scheduler, RunMetrics& metrics) {
  const ScheduleCounters& counters = scheduler.counters();
  metrics.tokens.prefill_computed = counters.prefill_rows;
  metrics.tokens.prefill_reused = std::max<int64_t>(
      metrics.tokens.prompt - metrics.tokens.prompt_unanswered - counters.prefill_rows, 0);
  metrics.tokens.recomputed = counters.recomputed_rows;
  metrics.tokens.padding = counters.padding_rows;
  metrics.prediction = {counters.n_yields, counters.n_predicted, counters.prediction_error_tokens,
                        counters.n_under_predicted};
  metrics.output_lengths = output_lengths_json(scheduler.lengths().observed(), run.tree,
                                               run.prepared.prompts, run.config.options.lora);
  metrics.memory.peak_kv_bytes = scheduler.pool().peak_used() * run.config.kv_bytes_per_block;
}

}  // namespace

void run_steps(const JobSteps& run, Engine& engine, const ScheduleLimits& limits,
               RunMetrics& metrics) {
  const Timer timer;
  Scheduler scheduler(run.job, limits);
  AnswerWriter answer_writer(
      run.prepared, run.tree, run.text.tokenizer,
      {run.output.job().created_unix_s, run.model.name, run.config.options.usage_details},
      run.output, run.stop);
  BackgroundQueue<std::vector<FinishedAnswer>> writer(
      kMaxWaitingSteps,
      [&](std::span<std::vector<FinishedAnswer>> steps) { answer_writer.write(steps); });
  std::vector<FinishedAnswer> finished;  // by the last step
  AnswerCounts counts(run.prepared, timer, metrics);
  Answers answers(
      run.prepared, run.job, run.text.tokenizer,
      [&](int32_t leader) { counts.first_token(leader); },
      [&](FinishedAnswer answer) {
        counts.finished(answer);
        finished.push_back(std::move(answer));
      });
  RunMeter meter(run.job, scheduler, run.costs, run.model.n_layers, run.config.kv_bytes_per_block,
                 answers);
  double pushed_s = 0;
  const double busy_s = run_to_end(scheduler, engine, meter, run.stop, [&](const StepPlan& plan) {
    const double now_s = timer.seconds();
    if (finished.empty() && now_s - pushed_s < JobOutput::kSyncIntervalS) {
      run.stop.drop_unwritten(1);
    } else {  // without answers: what was written before may have to be synced
      writer.push(std::exchange(finished, {}));
      pushed_s = now_s;
    }
    const StepSample sample = step_sample(plan, scheduler, now_s);
    metrics.steps.add(sample);
    meter.add(sample);
    run.progress(progress_counts(meter, metrics.requests));
  });
  writer.finish();
  metrics.time.run_s = timer.seconds();
  metrics.time.engine_wait_s = metrics.time.run_s - busy_s;
  count_schedule(run, scheduler, metrics);
}

}  // namespace prefold
