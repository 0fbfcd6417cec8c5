#include "run/job_plan.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <utility>

#include "cache/block_table.h"
#include "plan/length.h"
#include "plan/order.h"
#include "plan/prefix_groups.h"
#include "schedule/scheduler.h"

namespace prefold {
namespace {

// Ends each sequence at its predicted length.
class PredictedEnds : public StepSink {
 public:
  explicit PredictedEnds(const Job& job) {
    const PrefixTree& tree = *job.tree;
    const std::vector<int32_t> groups = prefix_groups(tree, LengthDistribution::kEnough);
    LengthsByGroup prior = job.length_prior;
    prior.groups.resize(groups.size());
    const LengthPredictor lengths(std::move(prior));
    n_left_.reserve(job.sequences.size());
    for (int32_t i = 0; i < std::ssize(job.sequences); ++i) {
      const int32_t max_tokens = job.spec_of(i).max_tokens;
      const int32_t node = tree.node_of_prompt[job.sequences[i].prompt];
      n_left_.push_back(job.parameters_of(i).params.ignore_eos
                            ? max_tokens
                            : lengths.predict(group_of_node(tree, groups, node), 0, max_tokens));
    }
  }
  bool on_token(int32_t sequence, const SampledToken&) override { return --n_left_[sequence] <= 0; }
  void on_score(int32_t, int32_t, const SampledToken&) override {}
  void on_embedding(int32_t, const std::vector<float>&) override {}
  void on_end(int32_t) override {}
  int64_t n_tokens() const { return std::accumulate(n_left_.begin(), n_left_.end(), int64_t{0}); }

 private:
  std::vector<int32_t> n_left_;
};

// Rows whose logits are needed: those sampled from and those scored, each once.
int32_t logit_row_count(const StepPlan& plan) {
  int32_t n_rows = 0;
  size_t sample = 0, score = 0;
  while (sample < plan.samples.size() || score < plan.scores.size()) {
    const int32_t sample_row =
        sample < plan.samples.size() ? plan.samples[sample].row : plan.n_rows();
    const int32_t score_row = score < plan.scores.size() ? plan.scores[score].row : plan.n_rows();
    const int32_t row = std::min(sample_row, score_row);
    while (sample < plan.samples.size() && plan.samples[sample].row == row) ++sample;
    while (score < plan.scores.size() && plan.scores[score].row == row) ++score;
    ++n_rows;
  }
  return n_rows;
}

std::vector<int32_t> sequences_by_node(const Job& job) {
  std::vector<int32_t> counts(job.tree->nodes.size(), 0);
  for (const SequenceSpec& s : job.sequences) ++counts[job.tree->node_of_prompt[s.prompt]];
  return counts;
}

double step_ns(const StepPlan& plan, const ScheduleLimits& limits, const CostModel& costs,
               const ModelConfig& model) {
  std::map<int32_t, int32_t> n_layers;  // by window
  for (const LayerConfig& layer : model.layers) ++n_layers[layer.window];
  double ns = model.n_layers * cost_at(costs.layer_ns, plan.n_rows());
  for (const auto& [window, n] : n_layers) {
    ns += n * attention_ns(costs.attention, limits.n_group, plan.spans, plan.segments, window);
  }
  const int32_t n_logit_rows = logit_row_count(plan);
  return ns + (n_logit_rows > 0 ? cost_at(costs.sample_ns, n_logit_rows) : 0.0);
}

}  // namespace

PrefixTree tree_to_run(PrefixTree tree, PreparedJob& prepared, const RunOptions& options,
                       const LengthPrior& prior) {
  const PromptStore& prompts = prepared.prompts;
  if (options.sharing == Sharing::kTree) {
    find_repeats(prepared, tree);
  } else {
    tree = flat_tree(prompts, prepared.adapters);
  }
  if (options.batching == Batching::kSorted) return order_by_length(std::move(tree));
  if (options.order == Order::kFile) return tree;
  const LengthsByGroup lengths = prior_of_groups(prior, tree, prompts, options.lora);
  std::vector<int64_t> decode_tokens = predicted_decode_tokens(prepared, tree, lengths);
  return order_by_ratio(std::move(tree), std::move(decode_tokens));
}

int64_t blocks_of_job(const Job& job) {
  int64_t n_blocks = 0;
  for (const PrefixNode& node : job.tree->nodes) {
    n_blocks += blocks_for(node.n_tokens(), kKvBlockTokens) + 1;
  }
  for (const SequenceSpec& sequence : job.sequences) {
    n_blocks += blocks_for(job.specs[sequence.prompt].max_tokens, kKvBlockTokens) + 1;
  }
  return n_blocks;
}

int32_t token_budget_of(const RunConfig& config, const ModelConfig& model, const CostModel& costs) {
  if (config.backend == BackendKind::kCuda) return config.token_budget;
  return config.options.max_num_batched_tokens.value_or(best_token_budget(costs, model.n_layers));
}

// A row is the last one of a prompt, and gives all of its sequences their first token, or it is of
// one sequence. Besides, each row may be scored.
int32_t most_items_of_step(const Job& job, int32_t token_budget) {
  std::vector<int32_t> n_first = sequences_by_node(job);
  std::sort(n_first.begin(), n_first.end(), std::greater<>());
  int64_t n_samples = 0;
  for (int32_t row = 0; row < token_budget; ++row) {
    const bool is_first = row < std::ssize(n_first) && n_first[row] > 1;
    n_samples += is_first ? n_first[row] : 1;
  }
  const bool any_scores = std::any_of(job.score_top.begin(), job.score_top.end(),
                                      [](int32_t n_top) { return n_top >= 0; });
  return static_cast<int32_t>(
      std::min<int64_t>(n_samples + (any_scores ? token_budget : 0), INT32_MAX));
}

ScheduleLimits schedule_limits(const RunConfig& config, const ModelConfig& model, const Job& job,
                               const CostModel& costs) {
  ScheduleLimits limits;
  limits.token_budget = config.token_budget;
  limits.n_blocks = static_cast<int32_t>(std::min<int64_t>(config.n_kv_blocks, blocks_of_job(job)));
  if (config.backend == BackendKind::kCuda) {
    const std::vector<int32_t> n_sequences = sequences_by_node(job);
    limits.n_slots = std::max(kSlotsPerRow * limits.token_budget,
                              *std::max_element(n_sequences.begin(), n_sequences.end()));
  }
  limits.policy = {config.options.chunked_prefill, config.options.length_prediction,
                   config.options.batching != Batching::kPacked, config.options.shared_attention,
                   config.options.sharing == Sharing::kLru};
  limits.attention_costs = costs.attention;
  limits.n_group = model.n_heads / model.n_kv_heads;
  return limits;
}

std::optional<Forecast> forecast(const Job& job, const RunConfig& config, const ModelConfig& model,
                                 const CostModel& costs) {
  PredictedEnds ends(job);
  if (ends.n_tokens() + prefix_stats(*job.tree).n_tree_tokens > kMaxForecastRows) {
    return std::nullopt;
  }
  const ScheduleLimits limits = schedule_limits(config, model, job, costs);
  Scheduler scheduler(job, limits);
  Forecast foretold;
  double ns = 0;
  while (!scheduler.done()) {
    const StepPlan plan = scheduler.next_step();
    ns += step_ns(plan, limits, costs, model);
    foretold.n_samples += std::ssize(plan.samples);
    StepResult result;
    result.step_idx = plan.step_idx;
    result.samples.resize(plan.samples.size());
    result.scores.resize(plan.scores.size());
    result.embeds.resize(plan.embeds.size());
    scheduler.commit(result, ends);
  }
  foretold.n_steps = scheduler.counters().n_steps;
  foretold.peak_blocks = scheduler.pool().peak_used();
  foretold.run_s = ns * 1e-9;
  return foretold;
}

}  // namespace prefold
