#include "plan/prefix_tree.h"

#include <doctest/doctest.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <set>
#include <vector>

using namespace prefold;

namespace {

using Prompts = std::vector<std::vector<int32_t>>;

PrefixTree tree_of(const Prompts& prompts) { return build_prefix_tree(PromptStore(prompts)); }

std::vector<int32_t> children_of(const PrefixTree& tree, int32_t v) {
  std::vector<int32_t> children;
  for (int32_t c = v + 1; c < tree.nodes[v].subtree_end; c = tree.nodes[c].subtree_end) {
    children.push_back(c);
  }
  return children;
}

// Checks everything that the header promises of one node.
void check_node(const PrefixTree& tree, const Prompts& prompts, int32_t v) {
  const PrefixNode& node = tree.nodes[v];
  const std::vector<int32_t> below(tree.order.begin() + node.first, tree.order.begin() + node.last);
  const std::vector<int32_t>& model = prompts[node.representative];
  REQUIRE(node.representative == *std::min_element(below.begin(), below.end()));
  REQUIRE(node.depth_begin == (v == 0 ? 0 : tree.nodes[node.parent].depth_end));
  // The prompts below are exactly those that start as the representative does.
  std::set<int32_t> wanted;
  for (int32_t i = 0; i < std::ssize(prompts); ++i) {
    if (std::ssize(prompts[i]) >= node.depth_end &&
        std::equal(model.begin(), model.begin() + node.depth_end, prompts[i].begin())) {
      wanted.insert(i);
    }
  }
  REQUIRE(std::set<int32_t>(below.begin(), below.end()) == wanted);

  const std::vector<int32_t> children = children_of(tree, v);
  int32_t n_ends = 0;
  for (; n_ends < node.n_prompts(); ++n_ends) {
    const int32_t p = below[n_ends];
    if (tree.node_of_prompt[p] != v) break;
    REQUIRE(std::ssize(prompts[p]) == node.depth_end);
    if (n_ends > 0) REQUIRE(below[n_ends - 1] < p);
  }
  int32_t position = node.first + n_ends;
  int32_t first_of_last = -1;
  for (const int32_t c : children) {
    REQUIRE(tree.nodes[c].parent == v);
    REQUIRE(tree.nodes[c].first == position);
    REQUIRE(tree.nodes[c].representative > first_of_last);
    first_of_last = tree.nodes[c].representative;
    position = tree.nodes[c].last;
  }
  REQUIRE(position == node.last);
  if (v != 0) {
    REQUIRE(node.n_tokens() > 0);
    REQUIRE((n_ends > 0 || children.size() >= 2));
  }
}

void check_tree(const Prompts& prompts) {
  const PrefixTree tree = tree_of(prompts);
  REQUIRE(tree.nodes.size() >= 1);
  REQUIRE(tree.nodes[0].depth_end == 0);
  REQUIRE(tree.nodes[0].n_prompts() == std::ssize(prompts));
  REQUIRE(tree.nodes[0].subtree_end == std::ssize(tree.nodes));
  REQUIRE(tree.node_of_prompt.size() == prompts.size());
  std::vector<int32_t> sorted = tree.order;
  std::sort(sorted.begin(), sorted.end());
  for (int32_t i = 0; i < std::ssize(prompts); ++i) REQUIRE(sorted[i] == i);
  if (!prompts.empty()) {
    for (int32_t v = 0; v < std::ssize(tree.nodes); ++v) check_node(tree, prompts, v);
  }

  std::set<std::vector<int32_t>> prefixes;
  int64_t n_tokens = 0;
  for (const std::vector<int32_t>& prompt : prompts) {
    n_tokens += std::ssize(prompt);
    for (size_t n = 1; n <= prompt.size(); ++n) {
      prefixes.insert({prompt.begin(), prompt.begin() + n});
    }
  }
  const PrefixStats stats = prefix_stats(tree);
  REQUIRE(stats.n_prompts == std::ssize(prompts));
  REQUIRE(stats.n_prompt_tokens == n_tokens);
  REQUIRE(stats.n_tree_tokens == std::ssize(prefixes));
}

}  // namespace

TEST_CASE("no prompt, one prompt and the empty prompt have their trees") {
  check_tree({});
  check_tree({{}});
  check_tree({{5, 6, 7}});
  check_tree({{}, {1}, {}});
  const PrefixTree tree = tree_of({{1}, {}});
  CHECK(tree.node_of_prompt == std::vector<int32_t>{1, 0});
  CHECK(tree.order == std::vector<int32_t>{1, 0});
}

TEST_CASE("shared prefixes become nodes, children keep the order of the file") {
  const PrefixTree tree = tree_of({{1, 9}, {7}, {1, 2, 3}, {1, 2, 4}, {7}, {1, 2}});
  // root -> [1] -> [9], [2] -> [3], [4];   root -> [7]
  REQUIRE(tree.nodes.size() == 7);
  CHECK(children_of(tree, 0) == std::vector<int32_t>{1, 6});
  CHECK(children_of(tree, 1) == std::vector<int32_t>{2, 3});
  CHECK(children_of(tree, 3) == std::vector<int32_t>{4, 5});
  CHECK(tree.order == std::vector<int32_t>{0, 5, 2, 3, 1, 4});
  CHECK(tree.node_of_prompt == std::vector<int32_t>{2, 6, 4, 5, 6, 3});
  const PrefixStats stats = prefix_stats(tree);
  CHECK(stats.n_prompt_tokens == 12);
  CHECK(stats.n_tree_tokens == 6);
  CHECK(stats.saved_percent == doctest::Approx(50.0));
  CHECK(stats.n_shared_nodes == 3);                          // [1] x 4, [2] x 3, [7] x 2
  CHECK(stats.mean_sharing_degree == doctest::Approx(3.0));  // (4 + 3 + 2) / 3
  CHECK(stats.mean_shared_tokens == doctest::Approx(9.0 / 6.0));
}

TEST_CASE("prompts of different adapters share nothing, those of one all that they can") {
  std::mt19937 rng(5);
  for (int round = 0; round < 300; ++round) {
    Prompts prompts;
    std::vector<int32_t> adapters;
    std::set<std::pair<int32_t, std::vector<int32_t>>> prefixes;
    for (int p = static_cast<int>(rng() % 20); p >= 0; --p) {
      std::vector<int32_t> prompt(1 + rng() % 5);
      for (int32_t& token : prompt) token = static_cast<int32_t>(rng() % 2);
      adapters.push_back(static_cast<int32_t>(rng() % 4) - 1);
      for (size_t n = 1; n <= prompt.size(); ++n) {
        prefixes.insert({adapters.back(), {prompt.begin(), prompt.begin() + n}});
      }
      prompts.push_back(std::move(prompt));
    }
    const PromptStore store(prompts);
    const PrefixTree tree = build_prefix_tree(store, adapters);
    REQUIRE(prefix_stats(tree).n_tree_tokens == std::ssize(prefixes));
    REQUIRE(tree.nodes[0].n_prompts() == std::ssize(prompts));
    for (int32_t v = 1; v < std::ssize(tree.nodes); ++v) {
      const PrefixNode& node = tree.nodes[v];
      REQUIRE(node.n_tokens() > 0);
      const std::vector<int32_t>& model = prompts[node.representative];
      for (int32_t i = node.first; i < node.last; ++i) {
        const std::vector<int32_t>& prompt = prompts[tree.order[i]];
        REQUIRE(adapters[tree.order[i]] == tree.adapter_of_node(v));
        REQUIRE(std::ssize(prompt) >= node.depth_end);
        REQUIRE(std::equal(model.begin(), model.begin() + node.depth_end, prompt.begin()));
      }
    }
    const PrefixTree flat = flat_tree(store, adapters);
    for (int32_t p = 0; p < std::ssize(prompts); ++p) {
      REQUIRE(flat.adapter_of_node(flat.node_of_prompt[p]) == adapters[p]);
      REQUIRE(tree.nodes[tree.node_of_prompt[p]].depth_end == std::ssize(prompts[p]));
    }
  }
}

TEST_CASE("thousands of random sets of prompts agree with brute force") {
  std::mt19937 rng(1);
  const auto below = [&](int32_t n) { return std::uniform_int_distribution<int32_t>(0, n)(rng); };
  for (int round = 0; round < 4000; ++round) {
    Prompts prompts(below(12));
    const int32_t alphabet = 1 + below(2);
    const int32_t longest = 1 + below(8);
    for (std::vector<int32_t>& prompt : prompts) {
      prompt.resize(below(longest));
      for (int32_t& token : prompt) token = below(alphabet - 1);
    }
    check_tree(prompts);
  }
}

TEST_CASE("long prefixes that part in, before and after a block of 64 tokens agree too") {
  std::mt19937 rng(2);
  Prompts prompts;
  for (int i = 0; i < 60; ++i) {
    std::vector<int32_t> prompt(rng() % 200, 7);
    const size_t n_more = rng() % 3;
    prompt.resize(prompt.size() + n_more, static_cast<int32_t>(rng() % 9));
    prompts.push_back(prompt);
  }
  check_tree(prompts);
}

TEST_CASE("a chain of 4,000 nested prefixes needs no deep recursion: a small stack suffices") {
  constexpr int32_t kLongest = 4000;
  const std::vector<int32_t> tokens(kLongest, 3);
  PromptStore prompts;
  for (size_t n = tokens.size(); n > 0; --n) prompts.add(TokenSpan(tokens).first(n));
  PrefixTree tree;
  std::function<void()> build = [&] { tree = build_prefix_tree(prompts); };
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, 128 * 1024) == 0);
  const auto call = [](void* function) -> void* {
    (*static_cast<std::function<void()>*>(function))();
    return nullptr;
  };
  pthread_t thread;
  REQUIRE(pthread_create(&thread, &attributes, call, &build) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  CHECK(tree.nodes.size() == kLongest + 1);
  CHECK(prefix_stats(tree).n_tree_tokens == kLongest);
  CHECK(tree.node_of_prompt[0] == kLongest);
}

TEST_CASE("a million tokens behind long shared prefixes are planned in well under a second") {
  // 20 documents of 1,000 tokens, 50 questions each, in mixed order; 1.02 million tokens in all.
  std::mt19937 rng(3);
  const auto random_tokens = [&](size_t n) {
    std::vector<int32_t> tokens(n);
    for (int32_t& token : tokens) token = static_cast<int32_t>(rng() % 50'000);
    return tokens;
  };
  Prompts documents;
  for (int i = 0; i < 20; ++i) documents.push_back(random_tokens(1000));
  Prompts prompts;
  for (int i = 0; i < 1000; ++i) {
    prompts.push_back(documents[i * 7 % 20]);
    const std::vector<int32_t> question = random_tokens(20);
    prompts.back().insert(prompts.back().end(), question.begin(), question.end());
  }
  const auto begin = std::chrono::steady_clock::now();
  const PrefixTree tree = tree_of(prompts);
  const std::chrono::duration<double> time_s = std::chrono::steady_clock::now() - begin;
  CHECK(time_s.count() < 1.0);  // takes milliseconds; the bound is for busy machines
  CHECK(prefix_stats(tree).n_tree_tokens == 20 * 1000 + 1000 * 20);
}
