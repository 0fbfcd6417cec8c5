#include "plan/prefix_groups.h"

#include <doctest/doctest.h>

using namespace prefold;

namespace {

PrefixTree tree_of(const std::vector<std::vector<int32_t>>& prompts) {
  return build_prefix_tree(PromptStore(prompts));
}

}  // namespace

TEST_CASE("groups are the subtrees below what all prompts share") {
  // 9 1 for all, then 5 twice (parting later), 6 three times, 7 once
  const PrefixTree tree =
      tree_of({{9, 1, 5, 1}, {9, 1, 6}, {9, 1, 5, 2}, {9, 1, 6, 1}, {9, 1, 6, 2}, {9, 1, 7}});
  const int32_t common = common_nodes(tree).at(0);
  CHECK(tree.nodes[common].depth_end == 2);
  const std::vector<int32_t> groups = prefix_groups(tree, 2);
  REQUIRE(groups.size() == 2);
  CHECK(group_of_node(tree, groups, 0) == -1);
  CHECK(group_of_node(tree, groups, common) == -1);
  const int32_t expected[] = {0, 1, 0, 1, 1, -1};
  for (int p = 0; p < 6; ++p) {
    CHECK(group_of_node(tree, groups, tree.node_of_prompt[p]) == expected[p]);
  }
  CHECK(prefix_groups(tree, 3).size() == 1);
}

TEST_CASE("each adapter's prompts have groups of their own") {
  // Of no adapter: 9 for all, then 5 and 6. Of 0: nothing for all. Of 1: all the same.
  const std::vector<std::vector<int32_t>> prompts{
      {9, 5, 1}, {9, 5}, {9, 6}, {9, 5, 1}, {9, 5, 2}, {8}, {9, 6}, {9, 5, 1}, {9, 5, 1}};
  const std::vector<int32_t> adapters{-1, -1, -1, 0, 0, 0, -1, 1, 1};
  const PrefixTree tree = build_prefix_tree(PromptStore(prompts), adapters);
  const std::vector<int32_t> groups = prefix_groups(tree, 1);
  std::vector<int32_t> group_of;
  for (const int32_t node : tree.node_of_prompt)
    group_of.push_back(group_of_node(tree, groups, node));
  CHECK(group_of == std::vector<int32_t>{0, 0, 1, 2, 2, 3, 1, -1, -1});
  CHECK(prefix_groups(tree, 2).size() == 3);
}

TEST_CASE("a prompt that ends where the others go on is the end of what all share") {
  CHECK(common_nodes(tree_of({{1, 2}, {1, 2, 3, 4}, {1, 2, 3, 5}})) == std::vector<int32_t>{1});
  CHECK(common_nodes(tree_of({{1, 2}, {3}})) == std::vector<int32_t>{0});
  CHECK(common_nodes(tree_of({{1, 2}, {1, 2}})) == std::vector<int32_t>{1});
  CHECK(common_nodes(tree_of({})).empty());
  CHECK(prefix_groups(tree_of({{1, 2}, {1, 2}}), 1).empty());
}
