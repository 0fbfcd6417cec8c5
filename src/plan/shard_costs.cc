#include "plan/shard_costs.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace prefold {
namespace {

// Of KV tiles that rows at positions [0, end) see, summed over the rows.
int64_t tiles_up_to(int64_t end, int32_t window) {
  const auto sum = [](int64_t n) {  // of p / tile + 1
    const int64_t whole = n / kKvBlockTokens;
    const int64_t rest = n % kKvBlockTokens;
    return kKvBlockTokens * (whole * (whole + 1) / 2) + rest * (whole + 1);
  };
  if (window == 0 || end <= window) return sum(end);
  const int64_t most = window / kKvBlockTokens + 1;
  return sum(window) + (end - window) * most;
}

int64_t tiles_between(int64_t begin, int64_t end, int32_t window) {
  return tiles_up_to(end, window) - tiles_up_to(begin, window);
}

// Nanoseconds of a row, of one layer or tile, in steps that are full.
struct UnitCosts {
  UnitCosts(const CostModel& costs, const ModelShape& shape) {
    for (const auto& [window, n] : shape.layers_by_window) n_layers += n;
    layer = cost_at(costs.layer_ns, shape.token_budget) / shape.token_budget;
    const CostPoint& full_tile = costs.attention.tile_ns.back();
    shared_tile = full_tile.ns / full_tile.n * shape.n_group;
    own_tile = std::max(shared_tile, tile_ns(costs.attention, shape.n_group));
    logits = costs.sample_ns.back().ns / costs.sample_ns.back().n;
  }

  int64_t n_layers = 0;
  double layer = 0;
  double shared_tile = 0;  // the kernel takes as many rows as it can
  double own_tile = 0;     // one row
  double logits = 0;
};

int64_t rounded(double ns) { return static_cast<int64_t>(std::llround(ns)); }

}  // namespace

std::vector<int64_t> prefill_costs_ns(const PrefixTree& tree, const CostModel& costs,
                                      const ModelShape& shape) {
  const UnitCosts unit(costs, shape);
  std::vector<int64_t> ns;
  ns.reserve(tree.nodes.size());
  for (const PrefixNode& node : tree.nodes) {
    double cost = static_cast<double>(node.n_tokens() * unit.n_layers) * unit.layer;
    for (const auto& [window, n] : shape.layers_by_window) {
      cost += static_cast<double>(n * tiles_between(node.depth_begin, node.depth_end, window)) *
              unit.shared_tile;
    }
    ns.push_back(rounded(cost));
  }
  return ns;
}

std::vector<int64_t> output_costs_ns(const PrefixTree& tree, std::span<const PromptOutput> outputs,
                                     const CostModel& costs, const ModelShape& shape) {
  CHECK(outputs.size() == tree.node_of_prompt.size());
  const UnitCosts unit(costs, shape);
  std::vector<int64_t> ns;
  ns.reserve(outputs.size());
  for (size_t p = 0; p < outputs.size(); ++p) {
    const PromptOutput& output = outputs[p];
    const int32_t end_node = tree.node_of_prompt[p];
    int32_t shared = end_node;
    while (shared != 0 && tree.nodes[shared].n_prompts() < 2) shared = tree.nodes[shared].parent;
    const int64_t n_prompt = tree.nodes[end_node].depth_end;
    const int64_t n_shared = tree.nodes[shared].depth_end;
    const int64_t n_sequences = std::max<int64_t>(output.n_sequences, 1);
    const int64_t n_rows = output.n_decode_rows / n_sequences;
    double cost = static_cast<double>(output.n_decode_rows * unit.n_layers) * unit.layer +
                  static_cast<double>(output.n_logit_rows) * unit.logits;
    for (const auto& [window, n] : shape.layers_by_window) {
      const int64_t n_tiles = tiles_between(n_prompt, n_prompt + n_rows, window);
      // Of what a row sees, the positions from the end of the shared prefix on are its own.
      const int64_t n_own = std::min(
          n_tiles, tiles_between(n_prompt - n_shared, n_prompt - n_shared + n_rows, window));
      cost += static_cast<double>(n * n_sequences) *
              (static_cast<double>(n_own) * unit.own_tile +
               static_cast<double>(n_tiles - n_own) * unit.shared_tile);
    }
    ns.push_back(rounded(cost));
  }
  return ns;
}

}  // namespace prefold
