#include "plan/shards.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <queue>
#include <set>
#include <utility>

#include "base/check.h"
#include "plan/item_sequence.h"
#include "plan/shard_moves.h"

namespace prefold {
namespace {

// Subtrees are taken apart until they cost at most this part of a shard; 0: only where the prompts
// first part. The fewer cuts win where they do as well.
constexpr int64_t kUnitsPerShard[] = {0, 2, 8, 32};
// Neighbours are packed together up to this part of a shard.
constexpr int64_t kGrainsPerShard = 128;
// Of the capacity: more of it is tried after the first that was enough, and above the least
// makespan found this much is given for a smaller total.
constexpr double kTolerance = 0.01;
constexpr double kFirstSlack = 0.0005;  // of the capacities tried, above the bound
constexpr int kBisections = 5;

// Neighbours in the sequence that wait for a shard.
struct Piece {
  int64_t cost = 0;  // without the path that all items share
  int32_t begin = 0;
  int32_t end = 0;

  bool operator<(const Piece& other) const {  // the costliest first, then the first one
    return cost != other.cost ? cost < other.cost : begin > other.begin;
  }
};

// Where to cut a piece whose first places cost at most `room`: the end of the part that goes in;
// piece.begin if not even one place fits.
int32_t best_cut(const ItemSequence& sequence, const Piece& piece, int64_t room) {
  const auto cost_to = [&](int32_t end) {
    return end == piece.begin ? 0 : sequence.cost(piece.begin, end) - sequence.common;
  };
  int32_t low = piece.begin;
  int32_t high = piece.end - 1;  // the whole piece does not fit
  while (low < high) {
    const int32_t middle = low + (high - low + 1) / 2;
    if (cost_to(middle) <= room) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  int32_t best = low;
  int64_t least_loss = std::numeric_limits<int64_t>::max();
  for (int32_t end = low; end > piece.begin; --end) {
    const int64_t left_over = room - cost_to(end);
    if (left_over >= least_loss) break;
    const int64_t loss = left_over + sequence.joint[end] - sequence.common;
    if (loss < least_loss) {
      least_loss = loss;
      best = end;
    }
  }
  return best;
}

// The shard of each place, none costing more than `capacity`, or none if that was not found.
std::optional<std::vector<int32_t>> pack(const ItemSequence& sequence,
                                         std::span<const PlaceRange> units, int32_t n_shards,
                                         int64_t capacity) {
  const int64_t room_of_empty = capacity - sequence.common;
  const auto piece_of = [&](int32_t begin, int32_t end) {
    return Piece{sequence.cost(begin, end) - sequence.common, begin, end};
  };
  std::vector<Piece> pieces;
  for (const PlaceRange& unit : units) pieces.push_back(piece_of(unit.begin, unit.end));
  std::priority_queue<Piece> waiting(std::less<Piece>(), std::move(pieces));
  std::set<std::pair<int64_t, int32_t>> loads;  // and the shards that have them
  for (int32_t s = 0; s < n_shards; ++s) loads.emplace(0, s);
  std::vector<int32_t> shard_of_place(sequence.item.size());
  const auto place = [&](const Piece& piece, std::set<std::pair<int64_t, int32_t>>::iterator at) {
    const auto [load, shard] = *at;
    loads.erase(at);
    loads.emplace(load + piece.cost, shard);
    std::fill(shard_of_place.begin() + piece.begin, shard_of_place.begin() + piece.end, shard);
  };
  while (!waiting.empty()) {
    const Piece piece = waiting.top();
    waiting.pop();
    // The fullest shard that has room.
    const auto after = loads.upper_bound({room_of_empty - piece.cost, n_shards});
    if (after != loads.begin()) {
      place(piece, std::prev(after));
      continue;
    }
    const auto emptiest = loads.begin();
    const int32_t cut = best_cut(sequence, piece, room_of_empty - emptiest->first);
    if (cut == piece.begin) return std::nullopt;
    place(piece_of(piece.begin, cut), emptiest);
    waiting.push(piece_of(cut, piece.end));
  }
  return shard_of_place;
}

std::vector<int64_t> shard_costs(const PrefixTree& tree, const ShardWork& work,
                                 std::span<const int32_t> shard_of_item, int32_t n_shards) {
  std::vector<int32_t> shard_of_prompt;
  shard_of_prompt.reserve(work.item_of_prompt.size());
  for (const int32_t item : work.item_of_prompt) shard_of_prompt.push_back(shard_of_item[item]);
  std::vector<int64_t> costs = sum_by_shard(tree, work.node_cost, shard_of_prompt, n_shards).all;
  for (size_t i = 0; i < shard_of_item.size(); ++i) costs[shard_of_item[i]] += work.item_cost[i];
  return costs;
}

// Looks for good plans and remembers the best ones.
class Search {
 public:
  Search(const PrefixTree& tree, const ShardWork& work, int32_t n_shards)
      : tree_(tree), work_(work), n_shards_(n_shards), sequence_(make_item_sequence(tree, work)) {
    bound_ = shard_bound(tree, work, n_shards);
  }

  ShardPlan best() {
    for (const int64_t per_shard : kUnitsPerShard) try_units(per_shard);
    for (ShardPlan& plan : plans_) {
      improve_by_moves(tree_, work_, n_shards_, plan.shard_of_item);
      plan.cost = shard_costs(tree_, work_, plan.shard_of_item, n_shards_);
    }
    int64_t least = std::numeric_limits<int64_t>::max();
    for (const ShardPlan& plan : plans_) least = std::min(least, plan.makespan());
    const int64_t enough = above(least, kTolerance);
    std::erase_if(plans_, [&](const ShardPlan& plan) { return plan.makespan() > enough; });
    return *std::min_element(plans_.begin(), plans_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.total(), a.makespan()) < std::pair(b.total(), b.makespan());
    });
  }

 private:
  static int64_t above(int64_t value, double part) {
    return value + static_cast<int64_t>(part * static_cast<double>(value));
  }

  void try_units(int64_t per_shard) {
    const int64_t limit = per_shard == 0 ? std::numeric_limits<int64_t>::max() : bound_ / per_shard;
    const std::vector<PlaceRange> units =
        subtrees_within(tree_, sequence_, limit, bound_ / kGrainsPerShard);
    int64_t too_little = bound_ - 1;
    int64_t enough = bound_;
    for (double slack = kFirstSlack; !try_capacity(units, enough); slack *= 2) {
      too_little = enough;
      enough = above(bound_, slack) + 1;
    }
    for (int i = 0; i < kBisections && enough - too_little > 1; ++i) {
      const int64_t middle = too_little + (enough - too_little) / 2;
      (try_capacity(units, middle) ? enough : too_little) = middle;
    }
    try_capacity(units, above(enough, kTolerance));
  }

  bool try_capacity(std::span<const PlaceRange> units, int64_t capacity) {
    const auto shard_of_place = pack(sequence_, units, n_shards_, capacity);
    if (!shard_of_place) return false;
    ShardPlan plan;
    plan.bound = bound_;
    plan.shard_of_item.resize(work_.item_cost.size());
    for (size_t place = 0; place < shard_of_place->size(); ++place) {
      plan.shard_of_item[sequence_.item[place]] = (*shard_of_place)[place];
    }
    plan.cost = shard_costs(tree_, work_, plan.shard_of_item, n_shards_);
    plans_.push_back(std::move(plan));
    keep_few();
    return true;
  }

  // Of two plans of which one is no better in anything, that one goes.
  void keep_few() {
    const ShardPlan& last = plans_.back();
    const auto no_better = [](const ShardPlan& a, const ShardPlan& b) {
      return a.makespan() >= b.makespan() && a.total() >= b.total();
    };
    for (size_t i = 0; i + 1 < plans_.size(); ++i) {
      if (!no_better(last, plans_[i])) continue;
      plans_.pop_back();
      return;
    }
    const auto end = plans_.end() - 1;
    plans_.erase(std::remove_if(plans_.begin(), end,
                                [&](const ShardPlan& plan) { return no_better(plan, *end); }),
                 end);
  }

  const PrefixTree& tree_;
  const ShardWork& work_;
  int32_t n_shards_;
  ItemSequence sequence_;
  int64_t bound_ = 0;
  std::vector<ShardPlan> plans_;
};

}  // namespace

int64_t ShardPlan::makespan() const { return *std::max_element(cost.begin(), cost.end()); }

int64_t ShardPlan::total() const { return std::accumulate(cost.begin(), cost.end(), int64_t{0}); }

ShardSums sum_by_shard(const PrefixTree& tree, std::span<const int64_t> node_value,
                       std::span<const int32_t> shard_of_prompt, int32_t n_shards) {
  std::vector<int32_t> begin(n_shards + 1, 0);  // of each shard's prompts
  for (const int32_t shard : shard_of_prompt) ++begin[shard + 1];
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<int32_t> prompts(shard_of_prompt.size());
  std::vector<int32_t> next(begin.begin(), begin.end() - 1);
  for (const int32_t p : tree.order) prompts[next[shard_of_prompt[p]]++] = p;

  ShardSums sums{std::vector<int64_t>(n_shards, 0), std::vector<int64_t>(n_shards, 0)};
  std::vector<int32_t> seen_by(tree.nodes.size(), -1);
  for (int32_t shard = 0; shard < n_shards; ++shard) {
    for (int32_t i = begin[shard]; i < begin[shard + 1]; ++i) {
      int32_t v = tree.node_of_prompt[prompts[i]];
      for (; seen_by[v] != shard; v = tree.nodes[v].parent) {
        sums.all[shard] += node_value[v];
        if (seen_by[v] >= 0) sums.again[shard] += node_value[v];
        seen_by[v] = shard;
      }
    }
  }
  return sums;
}

ShardPlan plan_shards(const PrefixTree& tree, const ShardWork& work, int32_t n_shards) {
  CHECK(n_shards >= 1);
  if (work.item_cost.empty()) return {{}, std::vector<int64_t>(n_shards, 0), 0};
  return Search(tree, work, n_shards).best();
}

}  // namespace prefold
