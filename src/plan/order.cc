#include "plan/order.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace prefold {
namespace {

// Of the subtree at a node, itself included.
struct SubtreeCost {
  int64_t n_prefill = 0;
  int64_t n_decode = 0;
  int64_t n_peak = 0;  // tokens in KV at once, depth first
};

std::vector<SubtreeCost> subtree_costs(const PrefixTree& tree,
                                       std::span<const int64_t> decode_tokens) {
  std::vector<SubtreeCost> costs(tree.nodes.size());
  for (size_t prompt = 0; prompt < tree.node_of_prompt.size(); ++prompt) {
    SubtreeCost& cost = costs[tree.node_of_prompt[prompt]];
    cost.n_decode += decode_tokens[prompt];
    cost.n_peak = std::max(cost.n_peak, decode_tokens[prompt]);
  }
  // Children come after their parents.
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    costs[i].n_prefill += tree.nodes[i].n_tokens();
    costs[i].n_peak += tree.nodes[i].n_tokens();
    if (i == 0) break;
    SubtreeCost& parent = costs[tree.nodes[i].parent];
    parent.n_prefill += costs[i].n_prefill;
    parent.n_decode += costs[i].n_decode;
    parent.n_peak = std::max(parent.n_peak, costs[i].n_peak);
  }
  return costs;
}

}  // namespace

PrefixTree order_by_ratio(const PrefixTree& tree, std::span<const int64_t> decode_tokens) {
  CHECK(decode_tokens.size() == tree.node_of_prompt.size());
  const std::vector<SubtreeCost> costs = subtree_costs(tree, decode_tokens);
  const auto runs_before = [&](int32_t a, int32_t b) {
    if (tree.nodes[a].parent != 0) return costs[a].n_peak > costs[b].n_peak;
    // decode / prefill, compared without division
    return costs[a].n_decode * costs[b].n_prefill > costs[b].n_decode * costs[a].n_prefill;
  };
  PrefixTree ordered;
  ordered.nodes.reserve(tree.nodes.size());
  ordered.order.reserve(tree.order.size());
  std::vector<int32_t> new_idx(tree.nodes.size());
  std::vector<int32_t> todo{0}, children;  // a stack: what runs first lies on top
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
    children.clear();
    for (int32_t c = old + 1; c < node.subtree_end; c = tree.nodes[c].subtree_end) {
      children.push_back(c);
    }
    std::stable_sort(children.begin(), children.end(), runs_before);
    todo.insert(todo.end(), children.rbegin(), children.rend());
  }
  for (const int32_t node : tree.node_of_prompt) ordered.node_of_prompt.push_back(new_idx[node]);
  return ordered;
}

}  // namespace prefold
