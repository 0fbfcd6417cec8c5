#include "plan/order.h"

#include <algorithm>
#include <functional>
#include <utility>
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

// By node. A leaf's is worked out when it is asked for: most nodes are leaves.
class SubtreeCosts {
 public:
  SubtreeCosts(const PrefixTree& tree, std::span<const int64_t> decode_tokens)
      : tree_(tree), decode_tokens_(decode_tokens), place_of_inner_(tree.nodes.size(), kLeaf) {
    // Children come after their parents.
    for (int32_t v = static_cast<int32_t>(tree.nodes.size()) - 1; v >= 0; --v) {
      if (v + 1 == tree.nodes[v].subtree_end) continue;
      const SubtreeCost cost = cost_of_inner(v);
      place_of_inner_[v] = static_cast<int32_t>(inner_.size());
      inner_.push_back(cost);
    }
  }

  SubtreeCost operator[](int32_t v) const {
    if (const int32_t place = place_of_inner_[v]; place != kLeaf) return inner_[place];
    const PrefixNode node = tree_.nodes[v];
    const int64_t n_decode = decode_tokens_between(node.first, node.last);
    const int64_t n_peak = node.n_tokens() + n_decode;
    return {node.n_tokens(), n_decode, n_peak, n_decode > 0 ? n_peak : 0};
  }

 private:
  static constexpr int32_t kLeaf = -1;

  // Of the prompts at these places of the tree's order.
  int64_t decode_tokens_between(int32_t first, int32_t last) const {
    int64_t n_tokens = 0;
    for (int32_t i = first; i < last; ++i) n_tokens += decode_tokens_[tree_.order[i]];
    return n_tokens;
  }

  // Children run in descending order of peak - residual.
  SubtreeCost cost_of_inner(int32_t v) const {
    const PrefixNode node = tree_.nodes[v];
    SubtreeCost cost;
    cost.n_decode = decode_tokens_between(node.first, tree_.nodes[v + 1].first);
    std::vector<SubtreeCost> children;
    for (int32_t c = v + 1; c < node.subtree_end; c = tree_.nodes[c].subtree_end) {
      children.push_back((*this)[c]);
    }
    std::stable_sort(children.begin(), children.end(), by_peak_and_residual);
    int64_t n_held = cost.n_decode;  // by the sequences that end here
    int64_t n_most = n_held;
    for (const SubtreeCost& child : children) {
      n_most = std::max(n_most, n_held + child.n_peak);
      n_held += child.n_residual;
      cost.n_prefill += child.n_prefill;
      cost.n_decode += child.n_decode;
    }
    cost.n_prefill += node.n_tokens();
    cost.n_peak = node.n_tokens() + n_most;
    cost.n_residual = n_held + (cost.n_decode > 0 ? node.n_tokens() : 0);
    return cost;
  }

  const PrefixTree& tree_;
  std::span<const int64_t> decode_tokens_;
  std::vector<int32_t> place_of_inner_;  // by node: in inner_, or kLeaf
  std::vector<SubtreeCost> inner_;
};

// The nodes of the tree, depth first, with siblings in another order.
std::vector<int32_t> sorted_nodes(const PrefixTree& tree, const RunsBefore& runs_before) {
  std::vector<int32_t> sorted;
  sorted.reserve(tree.nodes.size());
  std::vector<int32_t> todo{0};  // a stack: what runs first lies on top
  while (!todo.empty()) {
    const int32_t v = todo.back();
    todo.pop_back();
    sorted.push_back(v);
    std::vector<int32_t> children = children_of(tree, v);
    std::stable_sort(children.begin(), children.end(), runs_before);
    todo.insert(todo.end(), children.rbegin(), children.rend());
  }
  return sorted;
}

// The same tree with its nodes in another depth-first order.
PrefixTree with_nodes_in(const std::vector<int32_t>& sorted, PrefixTree tree) {
  std::vector<PrefixNodes::Stored> nodes;
  nodes.reserve(sorted.size() + 1);  // PrefixNodes adds one
  std::vector<int32_t> order;
  order.reserve(tree.order.size());
  int32_t parent = 0;
  for (const int32_t old : sorted) {
    const PrefixNode node = tree.nodes[old];
    const auto idx = static_cast<int32_t>(nodes.size());
    while (parent != 0 && idx >= nodes[parent].subtree_end) parent = nodes[parent].parent;
    nodes.push_back({parent, idx + (node.subtree_end - old), node.depth_end, node.representative,
                     static_cast<int32_t>(order.size())});
    // The prompts that end here come before those of the children.
    const int32_t end = old + 1 < node.subtree_end ? tree.nodes[old + 1].first : node.last;
    for (int32_t i = node.first; i < end; ++i) {
      order.push_back(tree.order[i]);
      tree.node_of_prompt[tree.order[i]] = idx;
    }
    parent = idx;
  }
  const auto n_prompts = static_cast<int32_t>(order.size());
  tree.order = std::move(order);
  tree.nodes = {std::move(nodes), n_prompts};
  return tree;
}

// As order_by_ratio. What it takes to find the order is given up when it is found.
std::vector<int32_t> nodes_by_ratio(const PrefixTree& tree,
                                    std::span<const int64_t> decode_tokens) {
  const SubtreeCosts costs(tree, decode_tokens);
  std::vector<bool> has_parts(tree.nodes.size());
  has_parts[0] = true;  // the adapters
  for (const int32_t node : common_nodes(tree)) has_parts[node] = true;
  return sorted_nodes(tree, [&](int32_t a, int32_t b) {
    const SubtreeCost cost_a = costs[a], cost_b = costs[b];
    if (!has_parts[tree.nodes[a].parent]) return by_peak_and_residual(cost_a, cost_b);
    // decode / prefill, compared without division
    return cost_a.n_decode * cost_b.n_prefill > cost_b.n_decode * cost_a.n_prefill;
  });
}

}  // namespace

PrefixTree order_by_ratio(PrefixTree tree, std::vector<int64_t> decode_tokens) {
  CHECK(decode_tokens.size() == tree.node_of_prompt.size());
  const std::vector<int32_t> sorted = nodes_by_ratio(tree, decode_tokens);
  std::vector<int64_t>().swap(decode_tokens);  // 8 bytes a prompt that are not needed any more
  return with_nodes_in(sorted, std::move(tree));
}

PrefixTree order_by_length(PrefixTree tree) {
  const std::vector<int32_t> sorted = sorted_nodes(tree, [&](int32_t a, int32_t b) {
    return tree.nodes[a].n_tokens() > tree.nodes[b].n_tokens();
  });
  return with_nodes_in(sorted, std::move(tree));
}

}  // namespace prefold
