// Scheduler: who may start.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace prefold {

// Sequences whose node is computed start in tree order. One whose node was given up, or done with
// before it yielded, has its node computed again first. False if one of them waits for memory: then
// nothing behind it may take any.
bool Scheduler::admit_ready_sequences(StepPlan& plan) {
  for (auto it = ready_.begin(); it != ready_.end();) {
    if (static_cast<int32_t>(running_.size()) >= limits_.token_budget) return false;
    const int32_t idx = *it++;
    const int32_t node = sequence_at(idx).node;
    if (nodes_[node].state == NodeState::kLive) {
      if (!start_sequence(idx, plan)) return false;
    } else if (const std::optional<int32_t> again = next_to_restart(node)) {
      if (!start_node(*again, predicted_end(idx), plan)) return false;
    }
  }
  return true;
}

// False if the blocks up to its end do not fit.
bool Scheduler::start_sequence(int32_t idx, StepPlan& plan) {
  Sequence& sequence = sequence_at(idx);
  const int32_t n_blocks = blocks_for(predicted_end(idx), kKvBlockTokens);
  if (!fits(n_blocks - blocks_at_start(sequence.node))) return false;
  ready_.erase(idx);
  sequence.table = start_from(sequence.node, plan);
  sequence.n_computed = prompt_length(sequence);
  sequence.state = SequenceState::kRunning;
  running_.push_back(idx);
  n_reserved_ += n_blocks - std::ssize(sequence.table.blocks);
  return true;
}

bool Scheduler::was_started(int32_t node) const {
  return nodes_[node].computed_before || nodes_[node].state != NodeState::kUncomputed;
}

// Of a computed node that was given up and those above it, the uppermost that is still waited for:
// from there on everything is computed again once. None if one of them is in prefill.
std::optional<int32_t> Scheduler::next_to_restart(int32_t node) const {
  std::optional<int32_t> found;
  for (int32_t i = node; nodes_[i].state != NodeState::kLive; i = tree_.nodes[i].parent) {
    if (!nodes_[i].computed_before || nodes_[i].state == NodeState::kPrefilling) {
      return std::nullopt;
    }
    if (nodes_[i].n_dependents > 0) found = i;
  }
  return found;
}

// The first node at `place` or behind it, in depth-first order, that could start now: one whose
// parent is live, or that parent or one above it, if it was given up. `place` moves to the node
// that it starts for. Below a node that is still being computed nothing can start: the walk goes on
// behind it.
std::optional<int32_t> Scheduler::next_node(int32_t& place) const {
  while (place < static_cast<int32_t>(nodes_.size())) {
    if (was_started(place)) {
      ++place;
      continue;
    }
    const int32_t parent = tree_.nodes[place].parent;
    if (nodes_[parent].state == NodeState::kLive) return place;
    if (const std::optional<int32_t> again = next_to_restart(parent)) return again;
    place = tree_.nodes[parent].subtree_end;
  }
  return std::nullopt;
}

// Starts nodes in depth-first order while the step has room.
void Scheduler::admit_nodes(StepPlan& plan, TokenBudget& budget) {
  const int32_t n_nodes = static_cast<int32_t>(nodes_.size());
  while (first_unstarted_node_ < n_nodes && was_started(first_unstarted_node_)) {
    ++first_unstarted_node_;
  }
  int32_t place = first_unstarted_node_;
  while (!budget.empty()) {
    const std::optional<int32_t> node = next_node(place);
    if (!node) return;
    if (!limits_.policy.chunked_prefill && budget.n_chunks() > 0 &&
        !budget.fits_chunk(tree_.nodes[*node].n_tokens())) {
      if (!limits_.policy.padded_prefill) fill_with_whole_nodes(place, plan, budget);
      return;
    }
    if (!admit_node(*node, plan, budget)) return;
  }
}

// Where prompts are not cut, the next one in order rarely fits what is left of a step: later ones
// that do fit take its place, the longest first (best fit decreasing), so that steps come close to
// the token budget. Only some of those that follow, to stay near depth-first order, and none that
// takes the next one's memory.
void Scheduler::fill_with_whole_nodes(int32_t place, StepPlan& plan, TokenBudget& budget) {
  constexpr int32_t kNodesConsidered = 256;
  std::vector<int32_t> candidates;
  for (int32_t n_considered = 0; n_considered < kNodesConsidered; ++n_considered) {
    const std::optional<int32_t> node = next_node(place);
    if (!node) break;
    const PrefixNode& tree_node = tree_.nodes[*node];
    if (n_considered == 0) {
      n_reserved_ += blocks_for(tree_node.depth_end, kKvBlockTokens) -
                     blocks_at_start(deepest_live(tree_node.parent)) +
                     blocks_waiting_below(*node, pool_.n_free() - n_reserved_);
    }
    if (budget.fits_chunk(tree_node.n_tokens())) candidates.push_back(*node);
    place = tree_node.subtree_end;
  }
  std::stable_sort(candidates.begin(), candidates.end(), [&](int32_t a, int32_t b) {
    return tree_.nodes[a].n_tokens() > tree_.nodes[b].n_tokens();
  });
  for (const int32_t i : candidates) {
    if (budget.fits_chunk(tree_.nodes[i].n_tokens()) && !admit_node(i, plan, budget)) return;
  }
}

// Sequences take their slots when their node is computed and keep them to their end.
bool Scheduler::slots_suffice(int32_t node) const {
  const int64_t n_open = n_admitted_ - n_ended_;
  return nodes_[node].computed_before || n_open == 0 ||
         n_open + sequences_of(node).size() <= limits_.n_slots;
}

// False if the node's blocks do not fit, or its sequences' slots.
bool Scheduler::admit_node(int32_t node, StepPlan& plan, TokenBudget& budget) {
  if (!slots_suffice(node) || !start_node(node, last_end_below(node), plan)) return false;
  n_reserved_ += blocks_waiting_below(node, pool_.n_free() - n_reserved_);
  draft_node(node, budget);
  return true;
}

void Scheduler::draft_node(int32_t node, TokenBudget& budget) {
  const int32_t n_rows =
      budget.take_chunk(tree_.nodes[node].depth_end - started_node(node).n_computed);
  if (n_rows > 0) add_draft({int64_t{node} << 32, true, true, node, n_rows});
}

// False if there is no room for the node's blocks and then for a sequence with `last_end` tokens.
bool Scheduler::start_node(int32_t node_idx, int32_t last_end, StepPlan& plan) {
  Node& node = nodes_[node_idx];
  const PrefixNode& tree_node = tree_.nodes[node_idx];
  const int32_t base = deepest_live(tree_node.parent);
  if (!fits(blocks_for(std::max(tree_node.depth_end, last_end), kKvBlockTokens) -
            blocks_at_start(base))) {
    return false;
  }
  if (node.computed_before) {
    ++nodes_[base].n_dependents;
  } else {
    CHECK(base == tree_node.parent);
    n_admitted_ += sequences_of(node_idx).size();
  }
  CHECK(node.started == kNone);
  node.started = started_nodes_.take();
  StartedNode& started = started_node(node_idx);
  started.table = start_from(base, plan);
  started.n_computed = tree_.nodes[base].depth_end;
  if (limits_.policy.lru_prefix_cache) take_cached_blocks(node_idx);
  CHECK(grow_table(pool_, started.table, blocks_for(tree_node.depth_end, kKvBlockTokens)));
  node.state = NodeState::kPrefilling;
  prefilling_.push_back(node_idx);
  return true;
}

bool Scheduler::anything_goes_on() const {
  return !drafts_.empty() || !running_.empty() || !prefilling_.empty();
}

// The first dependent of a live node that waits, if it fits.
bool Scheduler::admit_a_dependent(int32_t node, StepPlan& plan, TokenBudget& budget) {
  const auto ready = ready_.lower_bound(first_by_node_[node]);
  if (ready != ready_.end() && *ready < first_by_node_[node + 1]) {
    return start_sequence(*ready, plan);
  }
  int32_t child = node + 1;
  while (child < tree_.nodes[node].subtree_end && was_started(child)) {
    child = tree_.nodes[child].subtree_end;
  }
  return child < tree_.nodes[node].subtree_end && admit_node(child, plan, budget);
}

// For when nothing goes on and the next one in order does not fit. While predictions hold, the
// dependents of the node that started last do fit. Otherwise computed nodes are given up until the
// next one in order fits; by itself it does.
void Scheduler::admit_against_all_odds(StepPlan& plan, TokenBudget& budget) {
  n_reserved_ = 0;
  for (auto it = live_.rbegin(); it != live_.rend(); ++it) {
    if (admit_a_dependent(*it, plan, budget)) return;
  }
  std::optional<int32_t> node;
  int32_t last_end = 0;
  if (!ready_.empty()) {
    const int32_t idx = *ready_.begin();
    const int32_t node_of_sequence = sequence_at(idx).node;
    if (nodes_[node_of_sequence].state == NodeState::kLive) {
      while (!start_sequence(idx, plan)) CHECK(give_up_a_node(node_of_sequence, false));
      return;
    }
    node = next_to_restart(node_of_sequence);
    last_end = predicted_end(idx);
  } else {
    int32_t place = first_unstarted_node_;
    node = next_node(place);
    if (!node || !slots_suffice(*node)) return;  // what can be done is in flight
    last_end = last_end_below(*node);
  }
  CHECK(node);
  const int32_t base = deepest_live(tree_.nodes[*node].parent);
  while (!start_node(*node, last_end, plan)) {
    if (give_up_a_node(base, false)) continue;
    CHECK(last_end > 0);
    last_end = 0;
  }
  draft_node(*node, budget);
}

}  // namespace prefold
