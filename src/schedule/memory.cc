// Scheduler: how many blocks work will take, how they pass from a node to its dependents, and who
// gives way when they run out.
#include <algorithm>
#include <functional>
#include <utility>

#include "base/check.h"
#include "plan/prefix_groups.h"
#include "schedule/scheduler.h"

namespace prefold {

// Whether the sequence may end before max_tokens, so that its length has to be predicted.
bool Scheduler::length_is_open(int32_t sequence) const {
  return limits_.policy.length_prediction && !job_.parameters_of(sequence).params.ignore_eos &&
         job_.spec_of(sequence).max_tokens > 1;
}

int32_t Scheduler::predicted_length(int32_t sequence, int32_t n_sampled) const {
  const int32_t max_tokens = job_.spec_of(sequence).max_tokens;
  if (!length_is_open(sequence)) return max_tokens;
  const int32_t group = group_of_node(tree_, group_nodes_, node_of_sequence(sequence));
  return lengths_.predict(group, n_sampled, max_tokens);
}

// Tokens whose KV the sequence will have in the end. The last sampled token is never computed.
int32_t Scheduler::predicted_end(int32_t idx) const {
  const Sequence& sequence = sequence_at(idx);
  return prompt_length(sequence) + std::max(predicted_length(idx, sequence.n_planned) - 1, 0);
}

Scheduler::Reach Scheduler::reach_of_sequences(int32_t node) const {
  Reach reach{node};
  for (const int32_t s : sequences_of(node)) {
    const int32_t n_prompt = tree_.nodes[node].depth_end;
    const int32_t n_most = n_prompt + std::max(job_.spec_of(s).max_tokens - 1, 0);
    reach.most = std::max(reach.most, n_most);
    reach.sure = std::max(reach.sure, length_is_open(s) ? n_prompt : n_most);
  }
  return reach;
}

// Leaves are most nodes, and have few sequences.
Scheduler::Reach Scheduler::reach_of(int32_t node) const {
  if (tree_.nodes[node].subtree_end == node + 1) return reach_of_sequences(node);
  return *std::ranges::lower_bound(reaches_, node, std::greater<>(), &Reach::node);
}

// Children come after their parents, so a backward pass sees them first.
void Scheduler::find_reaches() {
  for (int32_t i = static_cast<int32_t>(tree_.nodes.size()) - 1; i >= 0; --i) {
    const int32_t subtree_end = tree_.nodes[i].subtree_end;
    if (subtree_end == i + 1) continue;
    Reach reach = reach_of_sequences(i);
    for (int32_t child = i + 1; child < subtree_end; child = tree_.nodes[child].subtree_end) {
      const Reach below = reach_of(child);
      reach.most = std::max(reach.most, below.most);
      reach.sure = std::max(reach.sure, below.sure);
    }
    reaches_.push_back(reach);
  }
}

// The same of the longest sequence at or below the node, or a little more.
int32_t Scheduler::last_end_below(int32_t node) const {
  const Reach reach = reach_of(node);
  const int32_t group = group_of_node(tree_, group_nodes_, node);
  return std::min(reach.most,
                  reach.sure + lengths_.predict(group, 0, LengthDistribution::kLongest) - 1);
}

void Scheduler::reserve_for_running() {
  n_reserved_ = 0;
  for (const int32_t i : running_) {
    const auto n_held = static_cast<int32_t>(sequence_at(i).table.blocks.size());
    n_reserved_ += std::max(0, blocks_for(predicted_end(i), kKvBlockTokens) - n_held);
  }
}

// What waits for the nodes in prefill goes first, all of it.
void Scheduler::reserve_for_prefilling() {
  for (const int32_t node : prefilling_) {
    n_reserved_ += blocks_waiting_below(node, pool_.n_free() - n_reserved_);
  }
}

// Blocks that all that has yet to start from the node and below it would take at once; where they
// are more than `enough`, possibly not all of them.
int64_t Scheduler::blocks_waiting_below(int32_t top, int64_t enough) const {
  const int32_t n_likely =
      lengths_.predict(group_of_node(tree_, group_nodes_, top), 0, LengthDistribution::kLongest);
  int64_t n_blocks = 0;
  int32_t i = top;
  while (i < tree_.nodes[top].subtree_end && n_blocks <= enough) {
    const PrefixNode& node = tree_.nodes[i];
    if (i != top && was_started(i)) {
      i = node.subtree_end;
      continue;
    }
    if (i != top) {
      n_blocks += blocks_for(node.depth_end, kKvBlockTokens) -
                  tree_.nodes[node.parent].depth_end / kKvBlockTokens;
    }
    for (const int32_t s : sequences_of(i)) {
      const int32_t max_tokens = job_.spec_of(s).max_tokens;
      if (max_tokens <= 1 || !waits_to_start(s)) continue;
      const int32_t n_tokens = length_is_open(s) ? std::min(max_tokens, n_likely) : max_tokens;
      n_blocks += blocks_for(node.depth_end + n_tokens - 1, kKvBlockTokens) -
                  node.depth_end / kKvBlockTokens;
    }
    // One of them writes into the node's last block.
    n_blocks -= node.depth_end % kKvBlockTokens > 0 && nodes_[i].n_dependents > 0;
    ++i;
  }
  return n_blocks;
}

// Has not sampled yet, or has and waits for blocks.
bool Scheduler::waits_to_start(int32_t sequence) const {
  if (started_of_[sequence] < 0) return !has_ended(sequence);
  return sequence_at(sequence).state != SequenceState::kRunning;
}

int32_t Scheduler::deepest_live(int32_t node) const {
  while (nodes_[node].state != NodeState::kLive) node = tree_.nodes[node].parent;
  return node;
}

void Scheduler::set_live(int32_t node) {
  nodes_[node].state = NodeState::kLive;
  live_.insert(node);
}

// The node's blocks pass to the caller.
BlockTable Scheduler::end_live(int32_t node) {
  CHECK(node != 0 && nodes_[node].state == NodeState::kLive);
  nodes_[node].state = NodeState::kUncomputed;
  live_.erase(node);
  return take_table(node);
}

// The same of a node in any state; it has no blocks then.
BlockTable Scheduler::take_table(int32_t node) {
  BlockTable table = std::move(started_node(node).table);
  started_nodes_.give_back(std::exchange(nodes_[node].started, kNone));
  return table;
}

// Whether nobody writes behind the node's tokens in its last block: it is held by the node alone,
// and by those above it that end in the same block.
bool Scheduler::can_lend_last_block(int32_t node) const {
  const int32_t place = tree_.nodes[node].depth_end / kKvBlockTokens;
  const int32_t block = started_node(node).table.blocks.back();
  int32_t n_holders = 0;
  for (int32_t i = node; tree_.nodes[i].depth_end > place * kKvBlockTokens;
       i = tree_.nodes[i].parent) {
    n_holders +=
        nodes_[i].state == NodeState::kLive && started_node(i).table.blocks.back() == block;
  }
  return pool_.reference_count(block) == n_holders;
}

// Blocks that a dependent of a live node starts with without taking any from the pool.
int32_t Scheduler::blocks_at_start(int32_t node) const {
  const int32_t depth = tree_.nodes[node].depth_end;
  const int32_t n_full = depth / kKvBlockTokens;
  return depth % kKvBlockTokens > 0 && can_lend_last_block(node) ? n_full + 1 : n_full;
}

// The beginning of a dependent's table. The last dependent takes the blocks over.
BlockTable Scheduler::start_from(int32_t node_idx, StepPlan& plan) {
  if (node_idx == 0) return {};
  CHECK(nodes_[node_idx].state == NodeState::kLive && nodes_[node_idx].n_dependents > 0);
  const BlockTable& of_node = started_node(node_idx).table;
  const int32_t depth = tree_.nodes[node_idx].depth_end;
  const int32_t n_shared = blocks_at_start(node_idx);
  BlockTable table = share_table(pool_, of_node, n_shared);
  if (n_shared < blocks_for(depth, kKvBlockTokens)) {
    const int32_t n_rest = depth % kKvBlockTokens;
    CHECK(grow_table(pool_, table, n_shared + 1));
    plan.copies.push_back({of_node.blocks.back(), table.blocks.back(), n_rest});
    counters_.copied_tokens += n_rest;
  }
  drop_dependent(node_idx);
  return table;
}

void Scheduler::drop_dependent(int32_t node_idx) {
  Node& node = nodes_[node_idx];
  CHECK(node.n_dependents > 0);
  if (--node.n_dependents == 0 && node.state == NodeState::kLive && node_idx != 0) {
    BlockTable table = end_live(node_idx);
    release_table(pool_, table);
  }
}

// Makes sure that the sequence's next position has a block, if need be at the cost of the
// least-computed running sequence. False if the sequence gets no row in this step.
bool Scheduler::take_block_for_next_row(int32_t idx) {
  Sequence& sequence = sequence_at(idx);
  const int32_t n_wanted = sequence.n_computed / kKvBlockTokens + 1;
  while (!grow_table(pool_, sequence.table, n_wanted)) {
    const int32_t victim =
        *std::min_element(running_.begin(), running_.end(), [&](int32_t a, int32_t b) {
          const int32_t n_a = sequence_at(a).n_planned, n_b = sequence_at(b).n_planned;
          if (n_a != n_b) return n_a < n_b;
          return order_of_sequence(a) > order_of_sequence(b);
        });
    if (running_.size() > 1) {
      yield(victim);
      if (victim == idx) return false;
    } else if (!prefilling_.empty() || !give_up_a_node(sequence.node, true)) {
      return false;  // there will be blocks when prefill or the step in flight is done
    }
  }
  return true;
}

void Scheduler::yield(int32_t idx) {
  Sequence& sequence = sequence_at(idx);
  release_table(pool_, sequence.table);
  sequence.n_computed = 0;
  sequence.state = SequenceState::kReady;
  ready_.insert(idx);
  std::erase(running_, idx);
  ++nodes_[sequence.node].n_dependents;
  ++counters_.n_yields;
}

// Gives up the blocks of one computed node that waits for its dependents; it is computed again when
// they start. The last one in order first; those above `for_node` after all others, since most of
// their blocks are its own as well. False if there is none.
bool Scheduler::give_up_a_node(int32_t for_node, bool itself_too) {
  const auto is_above = [&](int32_t i) {
    return i <= for_node && for_node < tree_.nodes[i].subtree_end;
  };
  std::optional<int32_t> found;
  for (auto it = live_.rbegin(); it != live_.rend() && !found; ++it) {
    if (!is_above(*it)) found = *it;
  }
  for (auto it = live_.begin(); it != live_.end() && !found; ++it) {
    if (*it != for_node || itself_too) found = *it;
  }
  if (!found) return false;
  BlockTable table = end_live(*found);
  release_table(pool_, table);
  return true;
}

}  // namespace prefold
