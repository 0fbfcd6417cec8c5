#include "plan/prefix_forest.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

using namespace prefold;
using Json = nlohmann::ordered_json;

namespace {

Json forest_of(const std::vector<std::vector<int32_t>>& prompts, size_t max_nodes) {
  return prefix_forest_json(build_prefix_tree(PromptStore(prompts)), max_nodes,
                            [](int32_t prompt) { return prompt + 1; });
}

int64_t sum(const Json& array) {
  int64_t total = 0;
  for (const Json& value : array) total += value.get<int64_t>();
  return total;
}

}  // namespace

TEST_CASE("the heavy nodes of a tree, and what is below them in sums") {
  // 1 2 3: three prompts, of which two go on with 4 5; and one of its own.
  const std::vector<std::vector<int32_t>> prompts = {
      {9, 9}, {1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 7, 8}, {1, 2, 3, 10}};
  CHECK(forest_of(prompts, 3).dump() ==
        R"({"parent":[null,0,1],"depth":[0,0,3],"tokens":[0,3,2],"prompts":[4,3,2],)"
        R"("first_request":[1,2,2],"hidden_nodes":[1,1,2],"hidden_tokens":[2,1,3]})");
  CHECK(forest_of(prompts, 100)["tokens"].size() == 7);
  CHECK(sum(forest_of(prompts, 100)["hidden_nodes"]) == 0);
  CHECK(forest_of({}, 5)["prompts"].dump() == "[0]");
}

TEST_CASE("however many nodes are listed, all are counted, and parents come first") {
  std::mt19937 random(5);
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < 300; ++i) {
    std::vector<int32_t> prompt;
    const int n_tokens = 1 + static_cast<int>(random() % 12);
    for (int k = 0; k < n_tokens; ++k) prompt.push_back(static_cast<int32_t>(random() % 3));
    prompts.push_back(prompt);
  }
  const PrefixTree tree = build_prefix_tree(PromptStore(prompts));
  const int64_t n_tokens = prefix_stats(tree).n_tree_tokens;
  for (const size_t max_nodes : {1, 2, 10, 50, 100'000}) {
    const Json forest = forest_of(prompts, max_nodes);
    CHECK(forest["tokens"].size() == std::min(max_nodes, tree.nodes.size()));
    CHECK(sum(forest["tokens"]) + sum(forest["hidden_tokens"]) == n_tokens);
    CHECK(forest["tokens"].size() + static_cast<size_t>(sum(forest["hidden_nodes"])) ==
          tree.nodes.size());
    for (size_t i = 1; i < forest["parent"].size(); ++i) CHECK(forest["parent"][i] < i);
  }
}
