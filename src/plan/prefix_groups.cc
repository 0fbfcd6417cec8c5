#include "plan/prefix_groups.h"

#include <algorithm>

namespace prefold {

int32_t common_node(const PrefixTree& tree) {
  const int32_t n_nodes = static_cast<int32_t>(tree.nodes.size());
  int32_t node = 0;
  while (node + 1 < n_nodes && tree.nodes[node + 1].parent == node &&
         tree.nodes[node + 1].n_prompts() == tree.nodes[0].n_prompts()) {
    ++node;
  }
  return node;
}

std::vector<int32_t> prefix_groups(const PrefixTree& tree, int32_t min_prompts) {
  std::vector<int32_t> groups;
  const int32_t common = common_node(tree);
  for (int32_t child = common + 1; child < tree.nodes[common].subtree_end;
       child = tree.nodes[child].subtree_end) {
    if (tree.nodes[child].n_prompts() >= min_prompts) groups.push_back(child);
  }
  return groups;
}

int32_t group_of_node(const PrefixTree& tree, const std::vector<int32_t>& groups, int32_t node) {
  const auto after = std::upper_bound(groups.begin(), groups.end(), node);
  if (after == groups.begin() || node >= tree.nodes[*(after - 1)].subtree_end) return -1;
  return static_cast<int32_t>(after - groups.begin()) - 1;
}

}  // namespace prefold
