#include "run/divide_job.h"

#include <ctime>
#include <optional>

#include "base/error.h"
#include "run/answer_options.h"
#include "run/cost_store.h"
#include "run/job_plan.h"
#include "run/length_prior.h"
#include "run/model_digest.h"
#include "run/run_model.h"
#include "run/shard_folder.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

// The options that decide which lines go where, as typed: a machine's free memory, say, must not
// make another split of the same command.
Json split_options(const RunConfig& config) {
  const RunOptions& options = config.options;
  Json precision = nullptr;
  if (options.precision) precision = precision_name(*options.precision);
  return {{"max_tokens", or_null(options.defaults.max_tokens)},
          {"temperature", or_null(options.defaults.temperature)},
          {"top_p", or_null(options.defaults.top_p)},
          {"top_k", or_null(options.defaults.top_k)},
          {"seed", options.seed},
          {"max_model_len", or_null(options.max_model_len)},
          {"kv_memory", or_null(options.kv_memory_bytes)},
          {"precision", precision},
          {"sharing", options.sharing == Sharing::kTree ? "tree" : "none"},
          {"lora", answer_options(config)["lora"]}};
}

ModelShape shape_of(const ModelConfig& model, int32_t token_budget) {
  ModelShape shape;
  for (const LayerConfig& layer : model.layers) ++shape.layers_by_window[layer.window];
  shape.n_group = model.n_heads / model.n_kv_heads;
  shape.token_budget = token_budget;
  return shape;
}

// A job that has been read and can be divided into any number of shards.
struct ReadJob {
  PreparedJob prepared;
  PrefixTree tree;
  ShardableJob shardable;
  std::vector<int64_t> repeats_id;  // lines, ascending
  int64_t n_failed = 0;
  bool time_is_known = false;
};

ReadJob read_job(const RunOptions& options, const ModelFile& model, const RunConfig& config,
                 const DivideHooks& hooks) {
  const std::optional<ChosenCosts> costs =
      find_costs(config, cost_key(model, config), cache_folder(), hooks.info);
  LengthPrior prior;
  if (!options.length_prior.empty()) prior = read_length_prior(options.length_prior);
  ThreadPool pool(config.threads);
  const TextModel text = make_text_model(model, std::time(nullptr));
  ReadJob job;
  const PrepareHooks reading{[&](const LineError& error, int64_t line_idx) {
                               ++job.n_failed;
                               if (error.failure.code == "duplicate_id") {
                                 job.repeats_id.push_back(line_idx);
                               }
                               hooks.info(error.failure.message);
                             },
                             [&](int64_t n_lines, int64_t n_tokens) {
                               if (hooks.reading) hooks.reading(n_lines, n_tokens);
                             }};
  job.prepared =
      prepare_job(RequestReader(options.inputs, config.defaults), text, config, pool, reading);
  const PromptStore& prompts = job.prepared.prompts;
  const bool shares = options.sharing == Sharing::kTree;
  job.tree = shares ? build_prefix_tree(prompts, job.prepared.adapters)
                    : flat_tree(prompts, job.prepared.adapters);
  if (shares) find_repeats(job.prepared, job.tree);
  const CostModel model_costs = costs ? costs->model : default_cost_model();
  const ModelShape shape =
      shape_of(model.config, token_budget_of(config, model.config, model_costs));
  job.shardable =
      make_shardable(job.prepared, job.tree,
                     prior_of_groups(prior, job.tree, prompts, options.lora), model_costs, shape);
  job.time_is_known = costs.has_value();
  return job;
}

// Of the whole job, no part of it twice.
double whole_seconds(const ShardableJob& job) {
  double ns = 0;
  for (const int64_t cost : job.work.node_cost) ns += static_cast<double>(cost);
  for (const int64_t cost : job.work.item_cost) ns += static_cast<double>(cost);
  return ns * 1e-9;
}

}  // namespace

DividedJob divide_job(const RunOptions& options, const std::vector<int32_t>& shard_counts,
                      const std::string& folder_path, const DivideHooks& hooks) {
  if (!folder_path.empty() && shard_counts.size() != 1) {
    throw Error(fmt::format("--shard-dir takes one division; --shards has {} numbers",
                            shard_counts.size()));
  }
  const ModelFile model = open_run_model(options);
  const RunConfig config = resolve(options, model);
  DividedJob divided;
  ShardManifest manifest;
  std::optional<ShardFolder> folder;
  if (!folder_path.empty()) {
    manifest.inputs = shard_inputs(options.inputs);
    manifest.model_digest = model_digest(model);
    manifest.options = split_options(config);
    manifest.shards.resize(shard_counts.front());
    folder.emplace(folder_path);
    divided.was_there = folder->holds(manifest);
    if (divided.was_there) return divided;
  }
  const ReadJob job = read_job(options, model, config, hooks);
  divided.n_lines = job.prepared.n_lines;
  divided.n_failed = job.n_failed;
  const PrefixStats stats = prefix_stats(job.tree);
  divided.n_prompt_tokens = stats.n_prompt_tokens;
  divided.n_tree_tokens = stats.n_tree_tokens;
  divided.time_is_known = job.time_is_known;
  divided.whole_s = whole_seconds(job.shardable);
  for (const int32_t n_shards : shard_counts) {
    divided.divisions.push_back(divide_lines(job.prepared, job.tree, job.shardable, n_shards));
    if (!folder) divided.divisions.back().shard_of_line = {};  // 4 bytes a line, each
  }
  if (!folder) return divided;
  const LineShards& lines = divided.divisions.front();
  manifest.shards = lines.shards;
  manifest.bound_s = lines.bound_s;
  manifest.time_is_known = job.time_is_known;
  folder->write(lines.shard_of_line, job.repeats_id, std::move(manifest));
  return divided;
}

}  // namespace prefold
