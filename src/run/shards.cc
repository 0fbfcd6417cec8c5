#include "run/shards.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace prefold {
namespace {

constexpr int32_t kNoItem = -1;
constexpr double kNsPerS = 1e9;

// Sets item_of_line and work.item_of_prompt; the number of items.
int32_t find_items(const PreparedJob& prepared, ShardableJob& job) {
  const int32_t n_requests = prepared.n_requests();
  job.item_of_line.assign(prepared.n_lines, kNoItem);
  job.work.item_of_prompt.reserve(n_requests);
  int32_t n_items = 0;
  for (int32_t i = 0; i < n_requests; ++i) {
    int32_t& item = job.item_of_line[prepared.line_of[i]];
    if (item == kNoItem) {
      const int32_t leader = prepared.leader_of(i);
      const bool repeats = leader != i && parts_of_line(prepared, i).n == 1;
      item = repeats ? job.work.item_of_prompt[leader] : n_items++;
    }
    job.work.item_of_prompt.push_back(item);
  }
  return n_items;
}

PromptOutput output_of(const PreparedJob& prepared, int32_t request, int64_t n_decode_rows) {
  if (prepared.leader_of(request) != request) return {};
  const ParameterSet& set = prepared.parameters_of(request);
  PromptOutput output;
  output.n_decode_rows = n_decode_rows;
  output.n_sequences = prepared.specs[request].max_tokens > 0 ? set.n_computed : 0;
  output.n_logit_rows = n_decode_rows + output.n_sequences;
  if (wanted_score_top(set.params) >= 0) {
    output.n_logit_rows += std::ssize(prepared.prompts[request]);
  }
  return output;
}

// Numbers the shards by the first line of each; those without any come last.
void number_by_first_line(ShardPlan& plan, int32_t n_shards) {
  std::vector<int32_t> new_number(n_shards, -1);
  int32_t n_numbered = 0;
  for (int32_t& shard : plan.shard_of_item) {  // items stand in the order of their first lines
    int32_t& number = new_number[shard];
    if (number < 0) number = n_numbered++;
    shard = number;
  }
  std::vector<int64_t> cost(n_shards, 0);
  for (int32_t s = 0; s < n_shards; ++s) {
    if (new_number[s] >= 0) cost[new_number[s]] = plan.cost[s];
  }
  plan.cost = std::move(cost);
}

}  // namespace

ShardableJob make_shardable(const PreparedJob& prepared, const PrefixTree& tree,
                            const LengthsByGroup& prior, const CostModel& costs,
                            const ModelShape& shape) {
  ShardableJob job;
  job.work.item_cost.assign(find_items(prepared, job), 0);
  const std::vector<int64_t> decode = predicted_decode_tokens(prepared, tree, prior);
  for (int32_t i = 0; i < prepared.prompts.size(); ++i) {
    job.outputs.push_back(output_of(prepared, i, decode[i]));
  }
  const std::vector<int64_t> output_ns = output_costs_ns(tree, job.outputs, costs, shape);
  for (size_t i = 0; i < output_ns.size(); ++i) {
    job.work.item_cost[job.work.item_of_prompt[i]] += output_ns[i];
  }
  job.work.node_cost = prefill_costs_ns(tree, costs, shape);
  return job;
}

LineShards divide_lines(const PreparedJob& prepared, const PrefixTree& tree,
                        const ShardableJob& job, int32_t n_shards) {
  ShardPlan plan = plan_shards(tree, job.work, n_shards);
  number_by_first_line(plan, n_shards);
  LineShards divided;
  divided.bound_s = static_cast<double>(plan.bound) / kNsPerS;
  divided.shards.resize(n_shards);
  divided.shard_of_line.reserve(job.item_of_line.size());
  int32_t shard = 0;
  for (const int32_t item : job.item_of_line) {
    if (item != kNoItem) shard = plan.shard_of_item[item];
    divided.shard_of_line.push_back(shard);
    ++divided.shards[shard].n_lines;
    divided.shards[shard].n_bad_lines += item == kNoItem ? 1 : 0;
  }

  std::vector<int32_t> shard_of_prompt;
  shard_of_prompt.reserve(job.outputs.size());
  for (int32_t i = 0; i < prepared.prompts.size(); ++i) {
    shard_of_prompt.push_back(plan.shard_of_item[job.work.item_of_prompt[i]]);
    ShardEntry& entry = divided.shards[shard_of_prompt.back()];
    entry.n_prompt_tokens += std::ssize(prepared.prompts[i]);
    entry.n_output_tokens += job.outputs[i].n_decode_rows + job.outputs[i].n_sequences;
  }
  std::vector<int64_t> n_tokens;
  n_tokens.reserve(tree.nodes.size());
  for (const PrefixNode& node : tree.nodes) n_tokens.push_back(node.n_tokens());
  const ShardSums prefill = sum_by_shard(tree, n_tokens, shard_of_prompt, n_shards);
  for (int32_t s = 0; s < n_shards; ++s) {
    divided.shards[s].n_prefill_tokens = prefill.all[s];
    divided.shards[s].n_again = prefill.again[s];
    divided.shards[s].time_s = static_cast<double>(plan.cost[s]) / kNsPerS;
  }
  return divided;
}

}  // namespace prefold
