#include "plan/shard_costs.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace prefold;

namespace {

// A row of a layer 10 ns, a tile 3 ns a pair where many are read at once and 5 where one is, a row
// of logits 7.
CostModel costs() {
  CostModel costs;
  costs.attention.tile_ns = {{1, 5}, {64, 192}};
  costs.layer_ns = {{1, 100}, {512, 5120}};
  costs.sample_ns = {{1, 50}, {64, 448}};
  return costs;
}

ModelShape shape(int32_t window = 0) {
  ModelShape shape;
  shape.layers_by_window = {{0, 2}};
  if (window > 0) shape.layers_by_window = {{0, 1}, {window, 1}};
  return shape;
}

int64_t tiles_seen(int64_t position, int32_t window) {
  const int64_t all = position / 32 + 1;
  return window == 0 || position < window ? all : std::min<int64_t>(all, window / 32 + 1);
}

}  // namespace

TEST_CASE("prefill costs are those of all rows, by position") {
  std::vector<int32_t> shared(70, 1);
  std::vector<int32_t> a = shared, b = shared;
  a.resize(170, 2);
  b.resize(90, 3);
  const std::vector<int32_t> prompts[] = {a, b};
  const PrefixTree tree = build_prefix_tree(PromptStore(prompts));
  for (const int32_t window : {0, 40, 64}) {
    const std::vector<int64_t> ns = prefill_costs_ns(tree, costs(), shape(window));
    REQUIRE(ns.size() == tree.nodes.size());
    for (size_t v = 0; v < ns.size(); ++v) {
      int64_t expected = 0;
      for (int64_t p = tree.nodes[v].depth_begin; p < tree.nodes[v].depth_end; ++p) {
        expected += 2 * 10 + 3 * tiles_seen(p, 0) + 3 * tiles_seen(p, window);
      }
      CHECK(ns[v] == expected);
    }
  }
}

TEST_CASE("decoding reads its own positions alone and shared ones with others") {
  std::vector<int32_t> shared(64, 1);
  std::vector<int32_t> a = shared, b = shared;
  a.resize(96, 2);
  b.resize(65, 3);
  const std::vector<int32_t> prompts[] = {a, b};
  const PrefixTree tree = build_prefix_tree(PromptStore(prompts));
  const std::vector<PromptOutput> outputs{{10, 1, 11}, {0, 0, 0}};
  const std::vector<int64_t> ns = output_costs_ns(tree, outputs, costs(), shape());
  // 10 rows at positions 96..105: 4 tiles each, of which 2 are of the shared prefix.
  CHECK(ns[0] == 2 * 10 * 10 + 11 * 7 + 2 * 10 * (2 * 5 + 2 * 3));
  CHECK(ns[1] == 0);
  const std::vector<PromptOutput> twice{{20, 2, 22}, {0, 0, 0}};
  CHECK(output_costs_ns(tree, twice, costs(), shape())[0] == 2 * ns[0]);
}
