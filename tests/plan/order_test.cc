#include "plan/order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace prefold;

namespace {

std::vector<TokenSpan> spans_of(const std::vector<std::vector<int32_t>>& prompts) {
  return {prompts.begin(), prompts.end()};
}

}  // namespace

TEST_CASE("below the root, requests with more decode tokens for their prefill run first") {
  const std::vector<std::vector<int32_t>> prompts{{1, 1, 1, 1}, {2, 2}, {3}};
  const std::vector<TokenSpan> spans = spans_of(prompts);
  const std::vector<int64_t> decode_tokens{4, 10, 1};
  const PrefixTree tree = order_by_ratio(build_prefix_tree(spans), decode_tokens);
  CHECK(tree.order == std::vector<int32_t>{1, 0, 2});  // 5, then 1 and 1 in input order
}

TEST_CASE("inside a subtree, what holds most memory runs first") {
  const std::vector<std::vector<int32_t>> prompts{{9, 1}, {9, 2, 2, 2}, {9, 3, 3}, {9}};
  const std::vector<TokenSpan> spans = spans_of(prompts);
  const std::vector<int64_t> decode_tokens{1, 1, 5, 1};
  const PrefixTree tree = order_by_ratio(build_prefix_tree(spans), decode_tokens);
  CHECK(tree.order == std::vector<int32_t>{3, 2, 1, 0});  // 3 ends where the others part
}

TEST_CASE("an ordered tree is the same tree") {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::vector<int32_t>> prompts(1 + random() % 20);
    std::vector<int64_t> decode_tokens;
    for (auto& prompt : prompts) {
      prompt.resize(1 + random() % 6);
      for (int32_t& token : prompt) token = static_cast<int32_t>(random() % 3);
      decode_tokens.push_back(random() % 50);
    }
    const std::vector<TokenSpan> spans = spans_of(prompts);
    const PrefixTree tree = build_prefix_tree(spans);
    const PrefixTree ordered = order_by_ratio(tree, decode_tokens);
    REQUIRE(ordered.nodes.size() == tree.nodes.size());
    CHECK(std::is_permutation(tree.order.begin(), tree.order.end(), ordered.order.begin()));
    for (size_t i = 0; i < ordered.nodes.size(); ++i) {
      const PrefixNode& node = ordered.nodes[i];
      const int32_t idx = static_cast<int32_t>(i);
      CHECK(node.subtree_end <= ordered.nodes[node.parent].subtree_end);
      if (i > 0) {
        CHECK(node.parent < idx);
        CHECK(node.depth_begin == ordered.nodes[node.parent].depth_end);
      }
      // Every prompt below agrees with the node's tokens, and ends below it.
      for (int32_t p = node.first; p < node.last; ++p) {
        const TokenSpan prompt = spans[ordered.order[p]];
        const int32_t end = ordered.node_of_prompt[ordered.order[p]];
        CHECK((end >= idx && end < node.subtree_end));
        CHECK(std::equal(prompt.begin(), prompt.begin() + node.depth_end,
                         spans[node.representative].begin()));
      }
    }
    for (size_t p = 0; p < prompts.size(); ++p) {
      CHECK(ordered.nodes[ordered.node_of_prompt[p]].depth_end == std::ssize(prompts[p]));
    }
  }
}
