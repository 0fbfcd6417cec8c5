#include "plan/shards.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <set>

using namespace prefold;

namespace {

using Prompts = std::vector<std::vector<int32_t>>;

PrefixTree tree_of(const Prompts& prompts) { return build_prefix_tree(PromptStore(prompts)); }

// Nodes cost their tokens, every prompt is an item.
ShardWork work_of(const PrefixTree& tree, std::vector<int64_t> item_cost) {
  ShardWork work;
  for (const PrefixNode& node : tree.nodes) work.node_cost.push_back(node.n_tokens());
  work.item_of_prompt.resize(item_cost.size());
  std::iota(work.item_of_prompt.begin(), work.item_of_prompt.end(), 0);
  work.item_cost = std::move(item_cost);
  return work;
}

// What a shard of these items costs, by the definition: the distinct nodes above their prompts.
int64_t cost_of(const PrefixTree& tree, const ShardWork& work, const std::vector<int32_t>& shard_of,
                int32_t shard) {
  int64_t cost = 0;
  std::set<int32_t> nodes;
  for (size_t i = 0; i < shard_of.size(); ++i) {
    if (shard_of[i] == shard) cost += work.item_cost[i];
  }
  for (size_t p = 0; p < work.item_of_prompt.size(); ++p) {
    if (shard_of[work.item_of_prompt[p]] != shard) continue;
    for (int32_t v = tree.node_of_prompt[p]; v != 0; v = tree.nodes[v].parent) nodes.insert(v);
    nodes.insert(0);
  }
  for (const int32_t v : nodes) cost += work.node_cost[v];
  return cost;
}

void check_plan(const PrefixTree& tree, const ShardWork& work, int32_t n_shards,
                const ShardPlan& plan) {
  REQUIRE(plan.shard_of_item.size() == work.item_cost.size());
  REQUIRE(std::ssize(plan.cost) == n_shards);
  for (int32_t s = 0; s < n_shards; ++s) {
    REQUIRE(plan.cost[s] == cost_of(tree, work, plan.shard_of_item, s));
  }
  REQUIRE(plan.bound == shard_bound(tree, work, n_shards));
  REQUIRE(plan.bound <= plan.makespan());
}

// The least makespan of all plans.
int64_t best_makespan(const PrefixTree& tree, const ShardWork& work, int32_t n_shards) {
  std::vector<int32_t> shard_of(work.item_cost.size(), 0);
  int64_t best = std::numeric_limits<int64_t>::max();
  while (true) {
    int64_t makespan = 0;
    for (int32_t s = 0; s < n_shards; ++s) {
      makespan = std::max(makespan, cost_of(tree, work, shard_of, s));
    }
    best = std::min(best, makespan);
    size_t i = 0;
    while (i < shard_of.size() && ++shard_of[i] == n_shards) shard_of[i++] = 0;
    if (i == shard_of.size()) return best;
  }
}

// Prompts that part at random places of each other.
Prompts random_prompts(std::mt19937& rng, int n_prompts, int max_new_tokens) {
  const auto below = [&](int n) { return static_cast<int32_t>(rng() % n); };
  Prompts prompts;
  for (int i = 0; i < n_prompts; ++i) {
    std::vector<int32_t> prompt;
    if (i > 0) {
      prompt = prompts[below(i)];
      prompt.resize(below(static_cast<int>(prompt.size()) + 1));
    }
    for (int n = 1 + below(max_new_tokens); n > 0; --n) prompt.push_back(1000 * i + n);
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

}  // namespace

TEST_CASE("plans of small jobs come close to the best there is") {
  std::mt19937 rng(1);
  int n_best = 0, n_plans = 0;
  double worst = 1, worst_bound = 1;
  for (int round = 0; round < 150; ++round) {
    const int n_prompts = 2 + static_cast<int>(rng() % 6);
    const int32_t n_shards = 2 + static_cast<int32_t>(rng() % 2);
    const PrefixTree tree = tree_of(random_prompts(rng, n_prompts, 1 + rng() % 40));
    std::vector<int64_t> costs(n_prompts);
    for (int64_t& cost : costs) cost = static_cast<int64_t>(rng() % (1 + rng() % 60));
    const ShardWork work = work_of(tree, costs);
    const ShardPlan plan = plan_shards(tree, work, n_shards);
    check_plan(tree, work, n_shards, plan);
    const int64_t best = best_makespan(tree, work, n_shards);
    REQUIRE(plan.bound <= best);
    REQUIRE(best <= plan.makespan());
    ++n_plans;
    n_best += plan.makespan() == best ? 1 : 0;
    worst = std::max(worst, static_cast<double>(plan.makespan()) / static_cast<double>(best));
    worst_bound =
        std::max(worst_bound, static_cast<double>(best) / static_cast<double>(plan.bound));
  }
  MESSAGE(n_best << " of " << n_plans << " as good as the best, " << worst
                 << " times it at worst; the best " << worst_bound << " times the bound at worst");
  CHECK(n_best >= n_plans * 95 / 100);
  CHECK(worst <= 1.1);
}

namespace {

// Jobs as they come: how prompts share decides what can be done.
class JobMaker {
 public:
  explicit JobMaker(uint32_t seed) : rng_(seed) {}

  int32_t below(int32_t n) { return static_cast<int32_t>(rng_() % n); }
  std::vector<int32_t> extended(std::vector<int32_t> prompt, int n_tokens) {
    for (int i = 0; i < n_tokens; ++i) prompt.push_back(next_token_++);
    return prompt;
  }
  Prompts groups(int n_groups, int prefix, int most_prompts) {
    Prompts prompts;
    for (int g = 0; g < n_groups; ++g) {
      const std::vector<int32_t> shared = extended({1, 2, 3}, prefix);
      for (int n = 1 + below(most_prompts); n > 0; --n) {
        prompts.push_back(extended(shared, 5 + below(20)));
      }
    }
    return prompts;
  }
  Prompts documents(int n_systems, int n_documents, int n_questions) {
    Prompts prompts;
    for (int s = 0; s < n_systems; ++s) {
      const std::vector<int32_t> system = extended({}, 30);
      for (int d = 0; d < n_documents; ++d) {
        const std::vector<int32_t> document = extended(system, 300 + below(600));
        for (int q = 0; q < n_questions; ++q) prompts.push_back(extended(document, 20));
      }
    }
    return prompts;
  }
  Prompts conversations(int n, int n_turns) {
    Prompts prompts;
    for (int c = 0; c < n; ++c) {
      std::vector<int32_t> prompt;
      for (int t = 0; t < n_turns; ++t) prompts.push_back(prompt = extended(prompt, 20));
    }
    return prompts;
  }
  ShardPlan plan(const Prompts& prompts, int32_t n_shards) {
    const PrefixTree tree = tree_of(prompts);
    std::vector<int64_t> costs(prompts.size());
    for (int64_t& cost : costs) cost = below(50);
    const ShardWork work = work_of(tree, costs);
    const ShardPlan plan = plan_shards(tree, work, n_shards);
    check_plan(tree, work, n_shards, plan);
    CHECK(plan_shards(tree, work, n_shards).shard_of_item == plan.shard_of_item);
    n_once = std::accumulate(work.node_cost.begin(), work.node_cost.end(), int64_t{0}) +
             std::accumulate(work.item_cost.begin(), work.item_cost.end(), int64_t{0});
    return plan;
  }

  int64_t n_once = 0;  // of the last plan's job: its cost without any cut

 private:
  std::mt19937 rng_;
  int32_t next_token_ = 100;
};

double ratio(int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }

}  // namespace

TEST_CASE("many groups are kept whole and fill the shards evenly") {
  JobMaker make(3);
  const Prompts prompts = make.groups(300, 100, 60);
  for (const int32_t n_shards : {2, 7, 16}) {
    const ShardPlan plan = make.plan(prompts, n_shards);
    CHECK(ratio(plan.makespan(), plan.bound) < 1.002);
    CHECK(plan.total() == make.n_once + 3 * (n_shards - 1));  // the beginning that all share
  }
  const ShardPlan plan = make.plan(prompts, 256);  // about one group a shard: some have to be cut
  CHECK(ratio(plan.makespan(), plan.bound) < 1.04);
  CHECK(ratio(plan.total(), make.n_once) < 1.05);
}

TEST_CASE("one group is cut where it has to be, and its prefix counted as often") {
  JobMaker make(4);
  const Prompts prompts = make.groups(1, 2000, 8000);
  for (const int32_t n_shards : {2, 7, 64}) {
    const ShardPlan plan = make.plan(prompts, n_shards);
    CHECK(ratio(plan.makespan(), plan.bound) < 1.01);
    const int64_t n_again = plan.total() - make.n_once;  // a shard more or less within the 1 %
    CHECK(n_again % 2003 == 0);
    CHECK(std::abs(n_again / 2003 - (n_shards - 1)) <= n_shards / 50);
  }
}

TEST_CASE("cuts go where they cost least") {
  JobMaker make(5);
  // Under two short beginnings, documents with questions: those stay together.
  const Prompts documents = make.documents(2, 100, 8);
  for (const int32_t n_shards : {2, 7, 16}) {
    const ShardPlan plan = make.plan(documents, n_shards);
    CHECK(ratio(plan.makespan(), plan.bound) < 1.03);
    CHECK(plan.total() <= make.n_once + 30 * 2 * n_shards);
  }
  const Prompts conversations = make.conversations(100, 10);
  const ShardPlan plan = make.plan(conversations, 8);
  CHECK(ratio(plan.makespan(), plan.bound) < 1.05);
  CHECK(plan.total() == make.n_once);
}

TEST_CASE("a big group and many small ones: only the big one is cut") {
  JobMaker make(6);
  Prompts prompts = make.groups(1, 3000, 3000);
  const size_t n_big = prompts.size();
  for (std::vector<int32_t>& prompt : make.groups(1000, 50, 5))
    prompts.push_back(std::move(prompt));
  REQUIRE(n_big > 1000);
  for (const int32_t n_shards : {4, 16}) {
    const ShardPlan plan = make.plan(prompts, n_shards);
    CHECK(ratio(plan.makespan(), plan.bound) < 1.01);
    const int64_t n_cut = plan.total() - make.n_once - 3 * (n_shards - 1);
    CHECK(n_cut % 3000 == 0);
    CHECK(n_cut / 3000 < n_shards);
  }
}

TEST_CASE("more shards than items, and a job of nothing") {
  JobMaker make(7);
  const ShardPlan plan = make.plan(make.groups(2, 10, 2), 7);
  CHECK(plan.makespan() == plan.bound);
  CHECK(std::count(plan.cost.begin(), plan.cost.end(), 0) >= 3);
  const PrefixTree tree = build_prefix_tree(PromptStore());
  const ShardPlan nothing = plan_shards(tree, work_of(tree, {}), 3);
  CHECK(nothing.cost == std::vector<int64_t>{0, 0, 0});
  CHECK(nothing.bound == 0);
}

TEST_CASE("the prompts of an item stay together, whatever subtrees they are in") {
  std::mt19937 rng(8);
  for (int round = 0; round < 60; ++round) {
    const PrefixTree tree = tree_of(random_prompts(rng, 8, 20));
    ShardWork work = work_of(tree, {5, 0, 9, 3, 1});
    work.item_of_prompt = {0, 1, 2, 3, 4, 0, 1, static_cast<int32_t>(rng() % 5)};
    const int32_t n_shards = 2 + static_cast<int32_t>(rng() % 2);
    const ShardPlan plan = plan_shards(tree, work, n_shards);
    check_plan(tree, work, n_shards, plan);
    CHECK(ratio(plan.makespan(), best_makespan(tree, work, n_shards)) <= 1.1);
  }
}
