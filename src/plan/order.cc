#include "plan/order.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "base/check.h"
#include "plan/prefix_groups.h"

namespace prefold {
namespace {

// Of the subtree at a node, itself included.
struct SubtreeCost {
  int64_t n_prefill = 0;
  int64_t n_decode = 0;
  int64_t n_peak = 0;      // tokens in KV at once
  int64_t n_residual = 0;  // tokens in KV once all of it is prefilled
};

using RunsBefore = std::function<bool(int32_t a, int32_t b)>;

std::vector<int32_t> children_of(const PrefixTree& tree, int32_t node) {
  std::vector<int32_t> children;
  for (int32_t c = node + 1; c < tree.nodes[node].subtree_end; c = tree.nodes[c].subtree_end) {
    children.push_back(c);
  }
  return children;
}

bool by_peak_and_residual(const SubtreeCost& a, const SubtreeCost& b) {
  const int64_t excess_a = a.n_peak - a.n_residual;
  const int64_t excess_b = b.n_peak - b.n_residual;
  return excess_a != excess_b ? excess_a > excess_b : a.n_peak > b.n_peak;
}

// Children run in descending order of peak - residual.
std::vector<SubtreeCost> subtree_costs(const PrefixTree& tree,
                                       std::span<const int64_t> decode_tokens) {
  std::vector<SubtreeCost> costs(tree.nodes.size());
  for (size_t prompt = 0; prompt < tree.node_of_prompt.size(); ++prompt) {
    costs[tree.node_of_prompt[prompt]].n_decode += decode_tokens[prompt];
  }
  // Children come after their parents.
  for (int32_t i = static_cast<int32_t>(tree.nodes.size()) - 1; i >= 0; --i) {
    SubtreeCost& cost = costs[i];
    std::vector<int32_t> children = children_of(tree, i);
    std::stable_sort(children.begin(), children.end(), [&](int32_t a, int32_t b) {
      return by_peak_and_residual(costs[a], costs[b]);
    });
    int64_t n_held = cost.n_decode;  // by the sequences that end here
    int64_t n_most = n_held;
    for (const int32_t c : children) {
      n_most = std::max(n_most, n_held + costs[c].n_peak);
      n_held += costs[c].n_residual;
      cost.n_prefill += costs[c].n_prefill;
      cost.n_decode += costs[c].n_decode;
    }
    cost.n_prefill += tree.nodes[i].n_tokens();
    cost.n_peak = tree.nodes[i].n_tokens() + n_most;
    cost.n_residual = n_held + (cost.n_decode > 0 ? tree.nodes[i].n_tokens() : 0);
  }
  return costs;
}

PrefixTree reorder(const PrefixTree& tree, const RunsBefore& runs_before) {
  PrefixTree ordered;
  ordered.nodes.reserve(tree.nodes.size());
  ordered.order.reserve(tree.order.size());
  std::vector<int32_t> new_idx(tree.nodes.size());
  std::vector<int32_t> todo{0};  // a stack: what runs first lies on top
  while (!todo.empty()) {
    const int32_t old = todo.back();
    todo.pop_back();
    const PrefixNode& node = tree.nodes[old];
    new_idx[old] = static_cast<int32_t>(ordered.nodes.size());
    PrefixNode moved = node;
    moved.parent = new_idx[node.parent];
    moved.subtree_end = new_idx[old] + (node.subtree_end - old);
    moved.first = static_cast<int32_t>(ordered.order.size());
    moved.last = moved.first + node.n_prompts();
    ordered.nodes.push_back(moved);
    // The prompts that end here come before those of the children.
    const int32_t end = old + 1 < node.subtree_end ? tree.nodes[old + 1].first : node.last;
    ordered.order.insert(ordered.order.end(), tree.order.begin() + node.first,
                         tree.order.begin() + end);
    std::vector<int32_t> children = children_of(tree, old);
    std::stable_sort(children.begin(), children.end(), runs_before);
    todo.insert(todo.end(), children.rbegin(), children.rend());
  }
  for (const int32_t node : tree.node_of_prompt) ordered.node_of_prompt.push_back(new_idx[node]);
  ordered.adapters = tree.adapters;
  return ordered;
}

}  // namespace

PrefixTree order_by_ratio(const PrefixTree& tree, std::span<const int64_t> decode_tokens) {
  CHECK(decode_tokens.size() == tree.node_of_prompt.size());
  const std::vector<SubtreeCost> costs = subtree_costs(tree, decode_tokens);
  std::vector<bool> has_parts(tree.nodes.size());
  has_parts[0] = true;  // the adapters
  for (const int32_t node : common_nodes(tree)) has_parts[node] = true;
  return reorder(tree, [&](int32_t a, int32_t b) {
    if (!has_parts[tree.nodes[a].parent]) return by_peak_and_residual(costs[a], costs[b]);
    // decode / prefill, compared without division
    return costs[a].n_decode * costs[b].n_prefill > costs[b].n_decode * costs[a].n_prefill;
  });
}

PrefixTree order_by_length(const PrefixTree& tree) {
  return reorder(tree, [&](int32_t a, int32_t b) {
    return tree.nodes[a].n_tokens() > tree.nodes[b].n_tokens();
  });
}

}  // namespace prefold
