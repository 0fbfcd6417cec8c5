// A job divided among machines: by what its prompts share, in parts of equal predicted cost. What
// stands in a node of the prefix tree is computed once in each part that has a prompt below it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/prefix_tree.h"

namespace prefold {

// Costs are in any unit, nanoseconds for one; none is negative, and all of a job's together, times
// the parts, stay below 2^62.
struct ShardWork {
  std::vector<int64_t> node_cost;       // by node of the tree: its prefill
  std::vector<int32_t> item_of_prompt;  // prompts that have to stay together are one item: [0, n)
  std::vector<int64_t> item_cost;       // by item: what it costs besides, wherever it is
};

struct ShardPlan {
  std::vector<int32_t> shard_of_item;
  std::vector<int64_t> cost;  // by shard: its nodes, each once, and its items
  int64_t bound = 0;          // shard_bound

  int64_t makespan() const;  // the costliest shard's
  int64_t total() const;
};

// Divides the items among n_shards (from 1; a shard may stay empty) so that the costliest shard is
// as cheap as can be found, and of the plans within 1 % of the cheapest found takes the one with
// the least total. The same for the same arguments, on every machine.
//
// Minimising the makespan is NP-hard (without sharing it is multiprocessor scheduling). For a
// capacity the subtrees below what all prompts share are packed best fit in descending order
// (MULTIFIT: Coffman, Garey and Johnson, "An Application of Bin-Packing to Multiprocessor
// Scheduling", 1978); one that fits nowhere is cut (McNaughton, "Scheduling with Deadlines and Loss
// Functions", 1959): in depth-first order, so that a cut makes only the prefix that its two sides
// share be computed twice, and where room left over and that prefix together are least. The least
// capacity for which that works is found by search, with subtrees left whole or taken apart to
// several sizes. Small jobs are then improved by moving single items.
// Time: O(nodes + prompts + n_shards log n_shards), times the plans tried, a few dozen. Memory:
// about 100 bytes a prompt and 40 a node.
ShardPlan plan_shards(const PrefixTree& tree, const ShardWork& work, int32_t n_shards);

// No plan has a makespan below this. A shard of capacity c that has anything from below node v
// holds all of v's path, so what is below v needs at least (its cost) / (c - cost of the path)
// shards, rounded up, and v is computed as often; bottom-up over the tree that gives the least
// total, which must not exceed n_shards * c. Nor can an item be cheaper than its path and itself.
int64_t shard_bound(const PrefixTree& tree, const ShardWork& work, int32_t n_shards);

// By shard, the sum of node_value over the nodes that have one of its prompts below them (or at
// them), and what of it an earlier shard has too. shard_of_prompt: [0, n_shards) for each prompt.
struct ShardSums {
  std::vector<int64_t> all;
  std::vector<int64_t> again;
};
ShardSums sum_by_shard(const PrefixTree& tree, std::span<const int64_t> node_value,
                       std::span<const int32_t> shard_of_prompt, int32_t n_shards);

}  // namespace prefold
