// Scheduler, second part: who may start, and who gives way when blocks run out.
#include <algorithm>

#include "base/check.h"
#include "plan/prefix_groups.h"
#include "schedule/scheduler.h"

namespace prefold {

// Whether the sequence may end before max_tokens, so that its length has to be predicted.
bool Scheduler::length_is_open(const SequenceSpec& spec) const {
  return limits_.policy.length_prediction && !spec.params->ignore_eos && spec.max_tokens > 1;
}

int32_t Scheduler::predicted_length(int32_t sequence, int32_t n_sampled) const {
  const SequenceSpec& spec = job_.sequences[sequence];
  if (!length_is_open(spec)) return spec.max_tokens;
  const int32_t group = group_of_node(tree_, group_nodes_, sequences_[sequence].node);
  return lengths_.predict(group, n_sampled, spec.max_tokens);
}

// Blocks that the sequence will take beyond its table (or, before it runs, beyond the full blocks
// of its prompt) up to its predicted end. The last sampled token is never computed.
int32_t Scheduler::blocks_to_end(const Sequence& sequence) const {
  const int32_t idx = static_cast<int32_t>(&sequence - sequences_.data());
  const int32_t n_sampled = predicted_length(idx, sequence.n_planned);
  const int32_t n_prompt = prompt_length(sequence);
  const int32_t n_held = sequence.state == SequenceState::kRunning
                             ? static_cast<int32_t>(sequence.table.blocks.size())
                             : n_prompt / kKvBlockTokens;
  return std::max(0, blocks_for(n_prompt + std::max(n_sampled - 1, 0), kKvBlockTokens) - n_held);
}

// Blocks from the node's start to the predicted end of the first sequence below it.
int32_t Scheduler::blocks_to_first_end(int32_t node) const {
  const int32_t base_depth = tree_.nodes[deepest_live(tree_.nodes[node].parent)].depth_end;
  int32_t leaf = node;
  while (sequences_of(leaf).empty()) ++leaf;
  const int32_t n_sampled = predicted_length(sequences_of(leaf).front(), 0);
  return blocks_for(first_leaf_end_[node] + std::max(n_sampled - 1, 0), kKvBlockTokens) -
         base_depth / kKvBlockTokens;
}

void Scheduler::reserve_for_running() {
  n_reserved_ = 0;
  for (int32_t i : running_) n_reserved_ += blocks_to_end(sequences_[i]);
  for (int32_t node : prefilling_) {
    if (!sequences_of(node).empty()) {
      n_reserved_ += blocks_to_end(sequences_[sequences_of(node).front()]);
    }
  }
}

int32_t Scheduler::deepest_live(int32_t node) const {
  while (nodes_[node].state != NodeState::kLive) node = tree_.nodes[node].parent;
  return node;
}

// Sequences whose node is computed start in tree order. One whose node was given up while it had
// yielded has its node computed again first. False if one of them waits for memory: then nothing
// behind it may take any.
bool Scheduler::admit_ready_sequences(StepPlan& plan) {
  for (auto it = ready_.begin(); it != ready_.end();) {
    const int32_t idx = by_node_[*it];
    Sequence& sequence = sequences_[idx];
    Node& node = nodes_[sequence.node];
    if (static_cast<int32_t>(running_.size()) >= limits_.token_budget) return false;
    const bool nothing_runs = running_.empty() && prefilling_.empty();
    if (node.state == NodeState::kUncomputed) {
      if (nothing_runs) release_idle_nodes(deepest_live(sequence.node));
      if (!start_node(sequence.node, plan)) return false;
    }
    if (node.state == NodeState::kPrefilling) {
      ++it;
      continue;
    }
    if (nothing_runs && !fits(blocks_to_end(sequence) + 1)) release_idle_nodes(sequence.node);
    // One block more than to the end: the copy of a shared partial block.
    if (!fits(blocks_to_end(sequence) + 1)) {
      CHECK(!nothing_runs);
      return false;
    }
    it = ready_.erase(it);
    n_reserved_ += blocks_to_end(sequence);
    sequence.table = start_from(sequence.node, plan);
    sequence.n_computed = prompt_length(sequence);
    sequence.state = SequenceState::kRunning;
    running_.push_back(idx);
  }
  return true;
}

bool Scheduler::was_started(int32_t node) const {
  return nodes_[node].computed_before || nodes_[node].state != NodeState::kUncomputed;
}

// Whether the node above has yet to be computed, in this step or a later one: then nothing below it
// can start.
bool Scheduler::waits_for_parent(int32_t node) const {
  const Node& above = nodes_[tree_.nodes[node].parent];
  return !above.computed_before || above.state == NodeState::kPrefilling ||
         (above.state == NodeState::kLive && above.live_since_step == next_step_idx_);
}

// Starts nodes in depth-first order while the step has room. Below a node that is still being
// computed nothing can start yet: the walk goes on behind it.
void Scheduler::admit_nodes(StepPlan& plan, TokenBudget& budget) {
  const int32_t n_nodes = static_cast<int32_t>(nodes_.size());
  while (first_unstarted_node_ < n_nodes && was_started(first_unstarted_node_)) {
    ++first_unstarted_node_;
  }
  int32_t i = first_unstarted_node_;
  while (i < n_nodes && !budget.empty()) {
    if (was_started(i)) {
      ++i;
    } else if (waits_for_parent(i)) {
      i = tree_.nodes[tree_.nodes[i].parent].subtree_end;
    } else if (!limits_.policy.chunked_prefill && budget.n_chunks() > 0 &&
               !budget.fits_chunk(tree_.nodes[i].n_tokens())) {
      if (!limits_.policy.padded_prefill) fill_with_whole_nodes(i, plan, budget);
      return;
    } else {
      if (!admit_node(i, plan, budget)) return;
      ++i;
    }
  }
}

// Where prompts are not cut, the next one in order rarely fits what is left of a step: later ones
// that do fit take its place, the longest first (best fit decreasing), so that steps come close to
// the token budget. Only some of those that follow, to stay near depth-first order.
void Scheduler::fill_with_whole_nodes(int32_t first_node, StepPlan& plan, TokenBudget& budget) {
  constexpr int32_t kNodesConsidered = 256;
  std::vector<int32_t> candidates;
  const int32_t n_nodes = static_cast<int32_t>(nodes_.size());
  int32_t n_considered = 0;
  for (int32_t i = first_node; i < n_nodes && n_considered < kNodesConsidered; ++n_considered) {
    if (was_started(i)) {
      ++i;
    } else if (waits_for_parent(i)) {
      i = tree_.nodes[tree_.nodes[i].parent].subtree_end;
    } else {
      if (budget.fits_chunk(tree_.nodes[i].n_tokens())) candidates.push_back(i);
      i = tree_.nodes[i].subtree_end;
    }
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
  return n_open == 0 || n_open + std::ssize(sequences_of(node)) <= limits_.n_slots;
}

// False if the node's blocks do not fit, or its sequences' slots.
bool Scheduler::admit_node(int32_t node, StepPlan& plan, TokenBudget& budget) {
  if (!slots_suffice(node)) return false;
  if (!start_node(node, plan)) {
    if (!drafts_.empty() || !running_.empty() || !prefilling_.empty()) return false;
    release_idle_nodes(deepest_live(tree_.nodes[node].parent));
    CHECK(start_node(node, plan));
  }
  n_admitted_ += static_cast<int32_t>(std::ssize(sequences_of(node)));
  const int32_t n_rows = budget.take_chunk(tree_.nodes[node].depth_end - nodes_[node].n_computed);
  if (n_rows > 0) drafts_.push_back({int64_t{node} << 32, true, true, node, n_rows});
  return true;
}

// False if the blocks do not fit or an ancestor is just being computed.
bool Scheduler::start_node(int32_t node_idx, StepPlan& plan) {
  Node& node = nodes_[node_idx];
  const int32_t parent = tree_.nodes[node_idx].parent;
  const int32_t base = deepest_live(parent);
  for (int32_t i = parent; i != base; i = tree_.nodes[i].parent) {
    if (nodes_[i].state == NodeState::kPrefilling) return false;
  }
  if (nodes_[base].live_since_step == next_step_idx_) return false;
  if (!fits(blocks_to_first_end(node_idx) + 1)) return false;
  const bool first_time = !node.computed_before;
  if (first_time && base == parent) {
    node.table = start_from(parent, plan);
  } else {
    ++nodes_[base].n_dependents;
    node.table = start_from(base, plan);
    if (first_time) drop_dependent(parent);
  }
  node.n_computed = tree_.nodes[base].depth_end;
  if (limits_.policy.lru_prefix_cache) take_cached_blocks(node_idx);
  CHECK(grow_table(pool_, node.table, blocks_for(tree_.nodes[node_idx].depth_end, kKvBlockTokens)));
  node.state = NodeState::kPrefilling;
  prefilling_.push_back(node_idx);
  if (!sequences_of(node_idx).empty()) {
    n_reserved_ += blocks_to_end(sequences_[sequences_of(node_idx).front()]);
  }
  return true;
}

namespace {

// Identifies a full block's content: its tokens and all before them.
uint64_t content_hash(uint64_t before, TokenSpan tokens) {
  for (const int32_t token : tokens) {
    before = (before ^ static_cast<uint64_t>(token + 1)) * 0x9E3779B97F4A7C15u;
    before ^= before >> 29;
  }
  return before | 1;  // 0 stands for none
}

}  // namespace

// The longest run of leading full blocks whose content is still in memory. The last token is always
// computed, since its logits are needed; a prompt whose tokens are scored reuses nothing.
void Scheduler::take_cached_blocks(int32_t node_idx) {
  Node& node = nodes_[node_idx];
  const TokenSpan tokens = tokens_of(node_idx);
  if (node.score_top >= 0 || node.n_computed > 0) return;
  uint64_t hash = 0;
  while (node.n_computed + kKvBlockTokens < std::ssize(tokens)) {
    hash = content_hash(hash, tokens.subspan(node.n_computed, kKvBlockTokens));
    const std::optional<int32_t> block = pool_.take_content(hash);
    if (!block) return;
    node.table.blocks.push_back(*block);
    node.n_computed += kKvBlockTokens;
  }
}

// Full blocks of a prompt that this step computes can be found by later steps.
void Scheduler::offer_computed_blocks(const Draft& draft) {
  if (!draft.is_node) return;
  const Node& node = nodes_[draft.idx];
  const TokenSpan tokens = tokens_of(draft.idx);
  uint64_t hash = 0;
  for (int32_t i = 0; (i + 1) * kKvBlockTokens <= node.n_computed; ++i) {
    hash = content_hash(hash, tokens.subspan(i * kKvBlockTokens, kKvBlockTokens));
    pool_.set_content(node.table.blocks[i], hash);
  }
}

// The blocks of a live node as the beginning of a dependent's table. The last dependent takes them
// over; others share the full ones and get a copy of the rest.
BlockTable Scheduler::start_from(int32_t node_idx, StepPlan& plan) {
  if (node_idx == 0) return {};
  Node& node = nodes_[node_idx];
  CHECK(node.state == NodeState::kLive && node.n_dependents > 0);
  if (--node.n_dependents == 0) {
    node.state = NodeState::kUncomputed;
    return std::move(node.table);
  }
  const int32_t depth = tree_.nodes[node_idx].depth_end;
  BlockTable table = share_table(pool_, node.table, depth / kKvBlockTokens);
  if (const int32_t n_rest = depth % kKvBlockTokens; n_rest > 0) {
    CHECK(grow_table(pool_, table, depth / kKvBlockTokens + 1));
    plan.copies.push_back({node.table.blocks.back(), table.blocks.back(), n_rest});
    counters_.copied_tokens += n_rest;
  }
  return table;
}

void Scheduler::drop_dependent(int32_t node_idx) {
  Node& node = nodes_[node_idx];
  CHECK(node.n_dependents > 0);
  if (--node.n_dependents == 0 && node.state == NodeState::kLive && node_idx != 0) {
    node.state = NodeState::kUncomputed;
    release_table(pool_, node.table);
  }
}

// Gives up the blocks of every computed node that waits for its dependents; they are computed again
// when those start. Only when nothing else could go on.
void Scheduler::release_idle_nodes(int32_t except) {
  for (int32_t i = 1; i < static_cast<int32_t>(nodes_.size()); ++i) {
    if (i == except || nodes_[i].state != NodeState::kLive ||
        nodes_[i].live_since_step == next_step_idx_) {
      continue;
    }
    nodes_[i].state = NodeState::kUncomputed;
    release_table(pool_, nodes_[i].table);
  }
}

// Makes sure that the sequence's next position has a block, if need be at the cost of the
// least-computed running sequence. False if the sequence gets no row in this step.
bool Scheduler::take_block_for_next_row(int32_t idx) {
  Sequence& sequence = sequences_[idx];
  const int32_t n_wanted = sequence.n_computed / kKvBlockTokens + 1;
  while (!grow_table(pool_, sequence.table, n_wanted)) {
    const int32_t victim =
        *std::min_element(running_.begin(), running_.end(), [&](int32_t a, int32_t b) {
          if (sequences_[a].n_planned != sequences_[b].n_planned) {
            return sequences_[a].n_planned < sequences_[b].n_planned;
          }
          return order_of_sequence(a) > order_of_sequence(b);
        });
    if (running_.size() > 1) {
      yield(victim);
      if (victim == idx) return false;
    } else if (!prefilling_.empty()) {
      return false;  // their blocks come free when they are done
    } else {
      release_idle_nodes(-1);
      return grow_table(pool_, sequence.table, n_wanted);
    }
  }
  return true;
}

void Scheduler::yield(int32_t idx) {
  Sequence& sequence = sequences_[idx];
  release_table(pool_, sequence.table);
  sequence.n_computed = 0;
  sequence.state = SequenceState::kReady;
  ready_.insert(place_[idx]);
  std::erase(running_, idx);
  ++nodes_[sequence.node].n_dependents;
  ++counters_.n_yields;
}

}  // namespace prefold
