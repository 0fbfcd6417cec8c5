#include "plan/prefix_groups.h"

#include <algorithm>
#include <unordered_map>

namespace prefold {

namespace {

// The deepest node whose prompts are all those below `node`.
int32_t deepest_common(const PrefixTree& tree, int32_t node) {
  const PrefixNode& top = tree.nodes[node];
  while (node + 1 < top.subtree_end && tree.nodes[node + 1].n_prompts() == top.n_prompts()) ++node;
  return node;
}

std::vector<int32_t> children_of(const PrefixTree& tree, int32_t node) {
  std::vector<int32_t> children;
  for (int32_t c = node + 1; c < tree.nodes[node].subtree_end; c = tree.nodes[c].subtree_end) {
    children.push_back(c);
  }
  return children;
}

// A child of the root, and the node that all prompts of its adapter share: below it, or the root.
struct Top {
  int32_t node = 0;
  int32_t common = 0;
};
std::vector<Top> tops_of(const PrefixTree& tree) {
  const std::vector<int32_t> children = children_of(tree, 0);
  std::unordered_map<int32_t, int32_t> n_tops;  // by adapter
  for (const int32_t child : children) ++n_tops[tree.adapter_of_node(child)];
  std::vector<Top> tops;
  for (const int32_t child : children) {
    const bool is_alone = n_tops[tree.adapter_of_node(child)] == 1;
    tops.push_back({child, is_alone ? deepest_common(tree, child) : 0});
  }
  return tops;
}

}  // namespace

std::vector<int32_t> common_nodes(const PrefixTree& tree) {
  std::vector<int32_t> nodes;
  for (const Top& top : tops_of(tree)) {
    if (nodes.empty() || top.common != nodes.back()) nodes.push_back(top.common);
  }
  return nodes;
}

std::vector<int32_t> prefix_groups(const PrefixTree& tree, int32_t min_prompts) {
  std::vector<int32_t> groups;
  for (const Top& top : tops_of(tree)) {
    if (top.common == 0) {
      groups.push_back(top.node);
    } else {
      const std::vector<int32_t> parts = children_of(tree, top.common);
      groups.insert(groups.end(), parts.begin(), parts.end());
    }
  }
  std::erase_if(groups, [&](int32_t node) { return tree.nodes[node].n_prompts() < min_prompts; });
  return groups;
}

int32_t group_of_node(const PrefixTree& tree, const std::vector<int32_t>& groups, int32_t node) {
  const auto after = std::upper_bound(groups.begin(), groups.end(), node);
  if (after == groups.begin() || node >= tree.nodes[*(after - 1)].subtree_end) return -1;
  return static_cast<int32_t>(after - groups.begin()) - 1;
}

}  // namespace prefold
