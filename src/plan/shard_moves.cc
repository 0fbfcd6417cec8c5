#include "plan/shard_moves.h"

#include <algorithm>
#include <unordered_map>

namespace prefold {
namespace {

constexpr size_t kMaxItems = 256;
constexpr int kMaxRounds = 256;

// What each shard costs while items come and go.
class Loads {
 public:
  Loads(const PrefixTree& tree, const ShardWork& work, int32_t n_shards,
        std::vector<int32_t>& shard_of_item)
      : tree_(tree),
        work_(work),
        shard_of_item_(shard_of_item),
        prompts_(work.item_cost.size()),
        n_users_(n_shards),
        cost_(n_shards, 0) {
    for (size_t p = 0; p < work.item_of_prompt.size(); ++p) {
      prompts_[work.item_of_prompt[p]].push_back(static_cast<int32_t>(p));
    }
    for (size_t i = 0; i < shard_of_item.size(); ++i) enter(static_cast<int32_t>(i));
  }

  int64_t cost(int32_t shard) const { return cost_[shard]; }
  int32_t costliest() const {
    return static_cast<int32_t>(std::max_element(cost_.begin(), cost_.end()) - cost_.begin());
  }
  void move(int32_t item, int32_t to) {
    leave(item);
    shard_of_item_[item] = to;
    enter(item);
  }

 private:
  void enter(int32_t item) {
    const int32_t shard = shard_of_item_[item];
    cost_[shard] += work_.item_cost[item];
    for_each_node(item, [&](int32_t v) {
      if (n_users_[shard][v]++ == 0) cost_[shard] += work_.node_cost[v];
    });
  }
  void leave(int32_t item) {
    const int32_t shard = shard_of_item_[item];
    cost_[shard] -= work_.item_cost[item];
    for_each_node(item, [&](int32_t v) {
      if (--n_users_[shard][v] == 0) cost_[shard] -= work_.node_cost[v];
    });
  }
  template <typename Fn>
  void for_each_node(int32_t item, Fn&& fn) {
    for (const int32_t p : prompts_[item]) {
      for (int32_t v = tree_.node_of_prompt[p]; v != 0; v = tree_.nodes[v].parent) fn(v);
      fn(0);
    }
  }

  const PrefixTree& tree_;
  const ShardWork& work_;
  std::vector<int32_t>& shard_of_item_;
  std::vector<std::vector<int32_t>> prompts_;                  // by item
  std::vector<std::unordered_map<int32_t, int32_t>> n_users_;  // by shard, node: prompts below it
  std::vector<int64_t> cost_;
};

// One step; false if none makes the costliest shard cheaper without making another as costly.
bool improve_once(Loads& loads, int32_t n_shards, const std::vector<int32_t>& shard_of_item) {
  const auto n_items = static_cast<int32_t>(shard_of_item.size());
  const int32_t from = loads.costliest();
  const int64_t before = loads.cost(from);
  const auto is_better = [&](int32_t to) {
    return std::max(loads.cost(from), loads.cost(to)) < before;
  };
  for (int32_t item = 0; item < n_items; ++item) {
    if (shard_of_item[item] != from) continue;
    for (int32_t to = 0; to < n_shards; ++to) {
      if (to == from) continue;
      loads.move(item, to);
      if (is_better(to)) return true;
      loads.move(item, from);
    }
    for (int32_t other = 0; other < n_items; ++other) {
      const int32_t to = shard_of_item[other];
      if (to == from) continue;
      loads.move(item, to);
      loads.move(other, from);
      if (is_better(to)) return true;
      loads.move(other, to);
      loads.move(item, from);
    }
  }
  return false;
}

}  // namespace

void improve_by_moves(const PrefixTree& tree, const ShardWork& work, int32_t n_shards,
                      std::vector<int32_t>& shard_of_item) {
  if (n_shards < 2 || shard_of_item.size() > kMaxItems) return;
  Loads loads(tree, work, n_shards, shard_of_item);
  for (int round = 0; round < kMaxRounds; ++round) {
    if (!improve_once(loads, n_shards, shard_of_item)) return;
  }
}

}  // namespace prefold
