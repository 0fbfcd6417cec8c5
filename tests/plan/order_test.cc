#include "plan/order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

using namespace prefold;

TEST_CASE("below the root, requests with more decode tokens for their prefill run first") {
  const std::vector<std::vector<int32_t>> prompts{{1, 1, 1, 1}, {2, 2}, {3}};
  const std::vector<int64_t> decode_tokens{4, 10, 1};
  const PrefixTree tree = order_by_ratio(build_prefix_tree(PromptStore(prompts)), decode_tokens);
  CHECK(tree.order == std::vector<int32_t>{1, 0, 2});  // 5, then 1 and 1 in input order
}

TEST_CASE("what all prompts share does not make one subtree of them") {
  const std::vector<std::vector<int32_t>> prompts{{8, 8, 1, 1, 1, 1}, {8, 8, 2, 2}, {8, 8, 3}};
  const std::vector<int64_t> decode_tokens{4, 10, 1};
  const PrefixTree tree = order_by_ratio(build_prefix_tree(PromptStore(prompts)), decode_tokens);
  CHECK(tree.order == std::vector<int32_t>{1, 0, 2});
}

TEST_CASE("inside a subtree, what needs much memory only for a while runs first") {
  // Below 9: two that decode (and stay), two that are only read.
  const std::vector<std::vector<int32_t>> prompts{{9, 1},    {9, 2, 2, 2}, {9, 3, 3},
                                                  {9, 4, 4}, {9},          {7}};
  const std::vector<int64_t> decode_tokens{1, 0, 0, 30, 1, 100};
  const PrefixTree tree = order_by_ratio(build_prefix_tree(PromptStore(prompts)), decode_tokens);
  // 4 ends where the others part; 1 needs 3 tokens for a while, 2 needs 2; 3 and 0 stay.
  CHECK(tree.order == std::vector<int32_t>{5, 4, 1, 2, 3, 0});
}

namespace {

// Tokens of KV at once, at most, when the nodes run in the tree's order: each node with what stands
// above it, the sequences that decode from then on, and all that went before and is still held.
int64_t simulated_peak(const PrefixTree& tree, const std::vector<int64_t>& decode_tokens) {
  int64_t peak = 0, n_decoding = 0;
  std::vector<bool> held(tree.nodes.size(), false);  // by a sequence that decodes
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    std::vector<bool> now = held;
    for (size_t v = i; v != 0; v = tree.nodes[v].parent) now[v] = true;
    for (size_t prompt = 0; prompt < decode_tokens.size(); ++prompt) {
      if (tree.node_of_prompt[prompt] != static_cast<int32_t>(i)) continue;
      n_decoding += decode_tokens[prompt];
      if (decode_tokens[prompt] == 0) continue;
      for (size_t v = i; v != 0; v = tree.nodes[v].parent) held[v] = true;
    }
    int64_t n_tokens = n_decoding;
    for (size_t v = 0; v < now.size(); ++v) n_tokens += now[v] ? tree.nodes[v].n_tokens() : 0;
    peak = std::max(peak, n_tokens);
  }
  return peak;
}

}  // namespace

TEST_CASE("no other depth-first order has a lower peak than the one chosen inside a subtree") {
  std::mt19937 random(4);
  int n_better_than_file_order = 0;
  for (int round = 0; round < 150; ++round) {
    // All below one token, beside another prompt, so that they are inside a subtree.
    std::vector<std::vector<int32_t>> prompts;
    std::vector<int64_t> decode_tokens;
    const size_t n_prompts = 2 + random() % 5;
    for (size_t p = 0; p < n_prompts; ++p) {
      std::vector<int32_t> prompt{1};
      if (p > 0 && random() % 2) {
        const auto& other = prompts[random() % p];
        prompt.assign(other.begin(), other.begin() + 1 + random() % other.size());
      }
      for (size_t n = random() % 12; n > 0; --n)
        prompt.push_back(static_cast<int32_t>(random() % 4));
      prompts.push_back(prompt);
      decode_tokens.push_back(random() % 2 ? 0 : random() % 20);
    }
    prompts.push_back({2});
    decode_tokens.push_back(0);
    const PrefixTree tree = build_prefix_tree(PromptStore(prompts));
    const int64_t chosen = simulated_peak(order_by_ratio(tree, decode_tokens), decode_tokens);
    n_better_than_file_order += chosen < simulated_peak(tree, decode_tokens);
    // Siblings stand in the order of their first prompt in the input, so permuted inputs give every
    // order of every node's children.
    std::vector<int32_t> input(n_prompts);
    std::iota(input.begin(), input.end(), 0);
    int64_t least = chosen;
    do {
      std::vector<std::vector<int32_t>> permuted;
      std::vector<int64_t> permuted_decode;
      for (const int32_t p : input) {
        permuted.push_back(prompts[p]);
        permuted_decode.push_back(decode_tokens[p]);
      }
      permuted.push_back({2});
      permuted_decode.push_back(0);
      const PrefixTree other = build_prefix_tree(PromptStore(permuted));
      least = std::min(least, simulated_peak(other, permuted_decode));
    } while (std::next_permutation(input.begin(), input.end()));
    CHECK(chosen == least);
  }
  CHECK(n_better_than_file_order > 20);
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
    const PromptStore store(prompts);
    const PrefixTree tree = build_prefix_tree(store);
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
        const TokenSpan prompt = store[ordered.order[p]];
        const int32_t end = ordered.node_of_prompt[ordered.order[p]];
        CHECK((end >= idx && end < node.subtree_end));
        CHECK(std::equal(prompt.begin(), prompt.begin() + node.depth_end,
                         store[node.representative].begin()));
      }
    }
    for (size_t p = 0; p < prompts.size(); ++p) {
      CHECK(ordered.nodes[ordered.node_of_prompt[p]].depth_end == std::ssize(prompts[p]));
    }
  }
}
