#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "plan/shards.h"

namespace prefold {
namespace {

// Sums of costs times shards: double, since they are estimates far beyond the job's own total.
class Relaxation {
 public:
  Relaxation(const PrefixTree& tree, const ShardWork& work)
      : tree_(tree), work_(work), path_(tree.nodes.size()), ends_(tree.nodes.size(), 0) {
    for (size_t v = 0; v < tree.nodes.size(); ++v) {
      path_[v] = work.node_cost[v] + (v == 0 ? 0 : path_[tree.nodes[v].parent]);
    }
    // An item is paid for once, at the first of its prompts.
    std::vector<bool> paid(work.item_cost.size(), false);
    for (size_t p = 0; p < work.item_of_prompt.size(); ++p) {
      const int32_t item = work.item_of_prompt[p];
      const int32_t node = tree.node_of_prompt[p];
      if (!paid[item]) ends_[node] += work.item_cost[item];
      if (!paid[item]) costliest_ = std::max(costliest_, path_[node] + work.item_cost[item]);
      paid[item] = true;
    }
  }

  int64_t costliest_item() const { return costliest_; }

  int64_t total() const {
    int64_t sum = 0;
    for (const int64_t cost : work_.node_cost) sum += cost;
    for (const int64_t cost : work_.item_cost) sum += cost;
    return sum;
  }

  // Whether the least total that shards of this capacity need fits into n_shards of them.
  bool fits(int64_t capacity, int32_t n_shards) const {
    std::vector<double> below(ends_.begin(), ends_.end());
    double total = 0;
    for (size_t v = tree_.nodes.size(); v-- > 0;) {
      double n_times = 1;
      if (below[v] > 0) {
        const int64_t room = capacity - path_[v];
        if (room <= 0) return false;
        n_times = std::max(1.0, std::ceil(below[v] / static_cast<double>(room)));
      }
      if (n_times > n_shards) return false;
      const double cost = below[v] + n_times * static_cast<double>(work_.node_cost[v]);
      (v == 0 ? total : below[tree_.nodes[v].parent]) += cost;
    }
    return total <= static_cast<double>(n_shards) * static_cast<double>(capacity);
  }

 private:
  const PrefixTree& tree_;
  const ShardWork& work_;
  std::vector<int64_t> path_;  // by node: it and all above it
  std::vector<int64_t> ends_;  // by node: items that end there
  int64_t costliest_ = 0;
};

}  // namespace

int64_t shard_bound(const PrefixTree& tree, const ShardWork& work, int32_t n_shards) {
  CHECK(work.node_cost.size() == tree.nodes.size());
  CHECK(work.item_of_prompt.size() == tree.node_of_prompt.size());
  const Relaxation relaxation(tree, work);
  const int64_t total = relaxation.total();
  const int64_t average = total / n_shards + (total % n_shards != 0 ? 1 : 0);
  int64_t low = std::max(relaxation.costliest_item(), average);
  int64_t high = std::max(low, total);  // one shard with everything
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (relaxation.fits(middle, n_shards)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace prefold
