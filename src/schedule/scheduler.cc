#include "schedule/scheduler.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "plan/prefix_groups.h"
#include "plan/sampling_key.h"

namespace prefold {
namespace {

// A token that every vocabulary has; nothing is read from its row.
constexpr int32_t kPaddingToken = 0;

LengthsByGroup prior_of(const Job& job, size_t n_groups) {
  LengthsByGroup prior = job.length_prior;
  CHECK(prior.groups.empty() || prior.groups.size() == n_groups);
  prior.groups.resize(n_groups);
  return prior;
}

}  // namespace

Scheduler::Scheduler(const Job& job, const ScheduleLimits& limits)
    : job_(job),
      tree_(*job.tree),
      limits_(limits),
      pool_(limits.n_blocks,
            limits.policy.lru_prefix_cache ? ReuseOrder::kOldestFirst : ReuseOrder::kNewestFirst),
      group_nodes_(prefix_groups(tree_, LengthDistribution::kEnough)),
      lengths_(prior_of(job, group_nodes_.size())),
      nodes_(tree_.nodes.size()),
      started_of_(job.sequences.size(), kNone),
      first_by_node_(tree_.nodes.size() + 1, 0) {
  CHECK(limits.token_budget > 0);
  CHECK(!limits.policy.padded_prefill || !limits.policy.chunked_prefill);
  int32_t node_before = 0;
  for (int32_t i = 0; i < std::ssize(job.sequences); ++i) {
    const int32_t node = node_of_sequence(i);
    CHECK(std::exchange(node_before, node) <= node);
    ++first_by_node_[node + 1];
    const int32_t max_tokens = job.spec_of(i).max_tokens;
    if (max_tokens > 1) ++nodes_[node].n_dependents;
    const int32_t n_prompt = tree_.nodes[node].depth_end;
    CHECK(n_prompt > 0);
    CHECK(blocks_for(n_prompt + max_tokens, kKvBlockTokens) <= limits.n_blocks);
  }
  std::partial_sum(first_by_node_.begin(), first_by_node_.end(), first_by_node_.begin());
  for (size_t prompt = 0; prompt < job.score_top.size(); ++prompt) {
    Node& node = nodes_[tree_.node_of_prompt[prompt]];
    node.score_top = std::max(node.score_top, job.score_top[prompt]);
  }
  for (size_t prompt = 0; prompt < job.embeds.size(); ++prompt) {
    Node& node = nodes_[tree_.node_of_prompt[prompt]];
    node.embeds = node.embeds || job.embeds[prompt];
    node.sums = node.sums || (job.embeds[prompt] && job.pooling == Pooling::kMean);
  }
  // Children come after their parents, so a backward pass sees them first.
  for (int32_t i = static_cast<int32_t>(nodes_.size()) - 1; i > 0; --i) {
    const int32_t parent = tree_.nodes[i].parent;
    ++nodes_[parent].n_dependents;
    nodes_[parent].score_top = std::max(nodes_[parent].score_top, nodes_[i].score_top);
    nodes_[parent].sums = nodes_[parent].sums || nodes_[i].sums;
  }
  find_reaches();
  nodes_[0].state = NodeState::kLive;
  nodes_[0].computed_before = true;
  first_unstarted_node_ = 1;
}

int32_t Scheduler::node_of_sequence(int32_t sequence) const {
  return tree_.node_of_prompt[job_.sequences[sequence].prompt];
}

int32_t Scheduler::prompt_length(const Sequence& sequence) const {
  return tree_.nodes[sequence.node].depth_end;
}

// A running sequence lacks the KV of everything up to its last sampled token, whose row gives the
// next sample: one row when it decodes, more when it comes back after a yield.
int32_t Scheduler::rows_wanted(const Sequence& sequence) const {
  if (sequence.n_planned >= job_.spec_of(sequence.idx).max_tokens) return 0;
  return prompt_length(sequence) + sequence.n_planned - sequence.n_computed;
}

// A node comes before the sequences that end at it, these before its children.
int64_t Scheduler::order_of_sequence(int32_t sequence) const {
  const Sequence& s = sequence_at(sequence);
  return (int64_t{s.node} << 32) + 1 + (sequence - first_by_node_[s.node]);
}

TokenSpan Scheduler::tokens_of(int32_t node) const {
  return (*job_.prompts)[tree_.nodes[node].representative].first(tree_.nodes[node].depth_end);
}

StepPlan Scheduler::next_step() {
  StepPlan plan;
  plan.step_idx = next_step_idx_;
  InFlight flight;
  flight.step_idx = next_step_idx_;
  release_finished_nodes();
  free_sums_.insert(free_sums_.end(), free_sums_later_.begin(), free_sums_later_.end());
  free_sums_later_.clear();

  TokenBudget budget(limits_.token_budget, limits_.policy.padded_prefill);
  drafts_.clear();
  reserve_for_running();
  const bool all_ready_run = !stopping_ && admit_ready_sequences(plan);
  if (limits_.policy.chunked_prefill) draft_decodes(budget);
  draft_chunks(budget);
  if (all_ready_run) {
    reserve_for_running();
    reserve_for_prefilling();
    admit_nodes(plan, budget);
  }
  if (!limits_.policy.chunked_prefill && drafts_.empty()) draft_decodes(budget);
  if (!stopping_ && !anything_goes_on()) {
    admit_against_all_odds(plan, budget);
    draft_decodes(budget);
    if (drafts_.empty()) draft_chunks(budget);
  }

  std::erase_if(drafts_, [&](const Draft& draft) {  // drafted, then yielded
    return !draft.is_node && sequence_at(draft.idx).state != SequenceState::kRunning;
  });
  std::sort(drafts_.begin(), drafts_.end(), [](const Draft& a, const Draft& b) {
    return a.adapter != b.adapter ? a.adapter < b.adapter : a.order < b.order;
  });
  for (const Draft& draft : drafts_) {
    add_adapter_rows(draft, plan);
    draft.is_node ? emit_node_rows(draft, plan, flight) : emit_sequence_rows(draft, plan, flight);
  }
  if (limits_.policy.padded_prefill) add_padding(plan);
  if (limits_.policy.lru_prefix_cache) {
    for (const Draft& draft : drafts_) offer_computed_blocks(draft);
  }
  if (limits_.policy.shared_attention) {
    choose_segments(plan.spans, plan.block_ids, limits_.attention_costs, limits_.n_group,
                    segment_scratch_, plan.segments);
  }
  CHECK(plan.n_rows() <= limits_.token_budget);
  CHECK(plan.n_rows() > 0 || !in_flight_.empty() || done());

  ++next_step_idx_;
  ++counters_.n_steps;
  in_flight_.push_back(std::move(flight));
  return plan;
}

void Scheduler::add_draft(Draft draft) {
  draft.adapter = tree_.adapter_of_node(draft.is_node ? draft.idx : sequence_at(draft.idx).node);
  drafts_.push_back(draft);
}

// What nodes in prefill hold is for those that decode.
void Scheduler::stop_admitting() {
  stopping_ = true;
  for (const int32_t i : prefilling_) {
    BlockTable table = take_table(i);
    release_table(pool_, table);
    nodes_[i].state = NodeState::kUncomputed;
  }
  prefilling_.clear();
}

void Scheduler::draft_decodes(TokenBudget& budget) {
  const std::vector<int32_t> candidates = running_;  // yields change running_
  for (int32_t i : candidates) {
    const Sequence& sequence = sequence_at(i);
    if (sequence.state != SequenceState::kRunning || rows_wanted(sequence) != 1) continue;
    if (budget.empty()) break;
    if (!take_block_for_next_row(i)) continue;
    add_draft({order_of_sequence(i), false, false, i, budget.take(1)});
  }
}

void Scheduler::draft_chunks(TokenBudget& budget) {
  const std::vector<int32_t> candidates = running_;
  for (int32_t i : candidates) {
    Sequence& sequence = sequence_at(i);
    if (sequence.state != SequenceState::kRunning || rows_wanted(sequence) <= 1) continue;
    if (budget.empty() || !take_block_for_next_row(i)) continue;
    const int32_t n_wanted = rows_wanted(sequence);
    const int32_t n_blocks = static_cast<int32_t>(sequence.table.blocks.size());
    const int32_t n_fit = (n_blocks + pool_.n_free()) * kKvBlockTokens - sequence.n_computed;
    const int32_t n_rows = budget.take_chunk(std::min(n_wanted, n_fit));
    if (n_rows == 0) continue;
    CHECK(grow_table(pool_, sequence.table,
                     blocks_for(sequence.n_computed + n_rows, kKvBlockTokens)));
    add_draft({order_of_sequence(i), false, true, i, n_rows});
  }
  for (int32_t i : prefilling_) {
    const int32_t n_rows = budget.take_chunk(tree_.nodes[i].depth_end - started_node(i).n_computed);
    if (n_rows > 0) add_draft({int64_t{i} << 32, true, true, i, n_rows});
  }
}

namespace {

void add_span(const BlockTable& table, int32_t first_position, int32_t n_rows, StepPlan& plan) {
  const int32_t n_blocks = blocks_for(first_position + n_rows, kKvBlockTokens);
  CHECK(n_blocks <= static_cast<int32_t>(table.blocks.size()));
  plan.spans.push_back({plan.n_rows(), n_rows, first_position,
                        static_cast<int32_t>(plan.block_ids.size()), n_blocks});
  plan.block_ids.insert(plan.block_ids.end(), table.blocks.begin(),
                        table.blocks.begin() + n_blocks);
}

void add_row(int32_t token_id, int32_t slot, int32_t position, StepPlan& plan) {
  plan.token_ids.push_back(token_id);
  plan.input_slots.push_back(slot);
  plan.positions.push_back(position);
}

}  // namespace

// The draft's rows come next.
void Scheduler::add_adapter_rows(const Draft& draft, StepPlan& plan) {
  if (draft.adapter == kNoAdapter) return;
  if (plan.adapters.empty() || plan.adapters.back().adapter != draft.adapter) {
    plan.adapters.push_back({plan.n_rows(), 0, draft.adapter});
  }
  plan.adapters.back().n_rows += draft.n_rows;
}

// Fills each chunk up to the longest one.
void Scheduler::add_padding(StepPlan& plan) {
  int32_t n_chunks = 0, n_rows = 0, longest = 0;
  for (const Draft& draft : drafts_) {
    if (!draft.is_chunk) continue;
    ++n_chunks;
    n_rows += draft.n_rows;
    longest = std::max(longest, draft.n_rows);
  }
  plan.n_padding_rows = n_chunks * longest - n_rows;
  for (int32_t i = 0; i < plan.n_padding_rows; ++i) add_row(kPaddingToken, -1, 0, plan);
  counters_.padding_rows += plan.n_padding_rows;
}

void Scheduler::emit_node_rows(const Draft& draft, StepPlan& plan, InFlight& flight) {
  const Node& node = nodes_[draft.idx];
  StartedNode& started = started_node(draft.idx);
  const TokenSpan tokens = tokens_of(draft.idx);
  add_span(started.table, started.n_computed, draft.n_rows, plan);
  const int32_t depth_begin = tree_.nodes[draft.idx].depth_begin;
  for (int32_t i = 0; i < draft.n_rows; ++i) {
    const int32_t position = started.n_computed + i;
    const int32_t row = plan.n_rows();
    add_row(tokens[position], -1, position, plan);
    const bool next_is_here = position + 1 < tree_.nodes[draft.idx].depth_end;
    if (node.score_top >= 0 && !node.computed_before && next_is_here &&
        position + 1 > depth_begin) {
      plan.scores.push_back({row, tokens[position + 1], node.score_top});
      flight.scores.push_back({draft.idx, position + 1});
    }
  }
  // Tokens of ancestors that were given up, or of this node if it was, are computed once more.
  const int32_t first_new = node.computed_before ? tree_.nodes[draft.idx].depth_end : depth_begin;
  const int32_t n_again = std::clamp(first_new - started.n_computed, 0, draft.n_rows);
  counters_.recomputed_rows += n_again;
  counters_.prefill_rows += draft.n_rows - n_again;
  started.n_computed += draft.n_rows;
  if (node.sums && !node.computed_before && started.n_computed > depth_begin) {
    add_sum(draft.idx, plan.n_rows() - draft.n_rows, plan);
  }
  if (started.n_computed == tree_.nodes[draft.idx].depth_end) {
    complete_node(draft.idx, plan, flight);
  }
}

// The node's own rows of this step, which begin at first_row or, after tokens of ancestors that are
// computed once more, behind it, go into its sum. That starts from its parent's.
void Scheduler::add_sum(int32_t node_idx, int32_t first_row, StepPlan& plan) {
  const PrefixNode& tree_node = tree_.nodes[node_idx];
  const int32_t n_own = started_node(node_idx).n_computed - tree_node.depth_begin;
  const int32_t n_rows = std::min(n_own, plan.n_rows() - first_row);
  int32_t from = SumRows::kFromZero;
  if (n_rows < n_own) {
    from = sums_.at(node_idx).slot;
  } else {
    NodeSum sum{take_sum_slot(), 0};
    for (int32_t child = node_idx + 1; child < tree_node.subtree_end;
         child = tree_.nodes[child].subtree_end) {
      sum.n_waiting += nodes_[child].sums;
    }
    sums_.emplace(node_idx, sum);
    if (tree_node.parent != 0) from = sums_.at(tree_node.parent).slot;
  }
  plan.sums.push_back({plan.n_rows() - n_rows, n_rows, sums_.at(node_idx).slot, from});
  if (n_rows == n_own && tree_node.parent != 0) drop_waiting_child(tree_node.parent);
}

int32_t Scheduler::take_sum_slot() {
  if (free_sums_.empty()) return n_sums_++;
  const int32_t slot = free_sums_.back();
  free_sums_.pop_back();
  return slot;
}

void Scheduler::drop_waiting_child(int32_t node) {
  NodeSum& sum = sums_.at(node);
  if (--sum.n_waiting > 0) return;
  free_sums_later_.push_back(sum.slot);
  sums_.erase(node);
}

// The node's last row is in this step: whoever ends at the node samples from it, and scores of its
// children's first tokens are read from it.
void Scheduler::complete_node(int32_t node_idx, StepPlan& plan, InFlight& flight) {
  Node& node = nodes_[node_idx];
  std::erase(prefilling_, node_idx);
  const int32_t row = plan.n_rows() - 1;
  if (!node.computed_before) {
    node.computed_before = true;
    if (node.embeds) {
      plan.embeds.push_back({row, node.sums ? sums_.at(node_idx).slot : EmbedRow::kNoSum});
      flight.embed_nodes.push_back(node_idx);
    }
    if (node.sums && sums_.at(node_idx).n_waiting == 0) {
      free_sums_later_.push_back(sums_.at(node_idx).slot);
      sums_.erase(node_idx);
    }
    for (const int32_t i : sequences_of(node_idx)) {
      if (job_.spec_of(i).max_tokens == 0) {
        flight.ended_unsampled.push_back(i);
        continue;
      }
      Sequence& sequence = start_sampling(i);
      add_sample(i, row, plan, flight);
      if (job_.spec_of(i).max_tokens > 1) {
        sequence.state = SequenceState::kReady;
        ready_.insert(i);
      }
    }
    const int32_t depth_end = tree_.nodes[node_idx].depth_end;
    for (int32_t child = node_idx + 1; child < tree_.nodes[node_idx].subtree_end;
         child = tree_.nodes[child].subtree_end) {
      if (nodes_[child].score_top < 0) continue;
      plan.scores.push_back({row, tokens_of(child)[depth_end], nodes_[child].score_top});
      flight.scores.push_back({child, depth_end});
    }
  }
  if (node.n_dependents > 0) {
    set_live(node_idx);
  } else {
    node.state = NodeState::kUncomputed;
    release_later_.push_back(node_idx);
  }
}

Scheduler::Sequence& Scheduler::start_sampling(int32_t idx) {
  started_of_[idx] = sequences_.take();
  Sequence& sequence = sequence_at(idx);
  sequence.idx = idx;
  sequence.node = node_of_sequence(idx);
  sequence.n_predicted = predicted_length(idx, 0);
  return sequence;
}

void Scheduler::emit_sequence_rows(const Draft& draft, StepPlan& plan, InFlight& flight) {
  Sequence& sequence = sequence_at(draft.idx);
  const TokenSpan prompt = tokens_of(sequence.node);
  const int32_t n_prompt = static_cast<int32_t>(prompt.size());
  const int32_t last_position = n_prompt + sequence.n_planned - 1;
  add_span(sequence.table, sequence.n_computed, draft.n_rows, plan);
  for (int32_t i = 0; i < draft.n_rows; ++i) {
    const int32_t position = sequence.n_computed + i;
    if (position == last_position) {
      add_row(StepPlan::kFromSlot, sequence.slot, position, plan);
    } else {
      CHECK(position >= n_prompt);
      add_row(sequence.sampled[position - n_prompt], -1, position, plan);
    }
  }
  sequence.n_computed += draft.n_rows;
  if (sequence.n_computed > last_position) {
    add_sample(draft.idx, plan.n_rows() - 1, plan, flight);
    ++counters_.decode_rows;
    counters_.recomputed_rows += draft.n_rows - 1;
  } else {
    counters_.recomputed_rows += draft.n_rows;
  }
}

void Scheduler::add_sample(int32_t sequence_idx, int32_t row, StepPlan& plan, InFlight& flight) {
  Sequence& sequence = sequence_at(sequence_idx);
  if (sequence.slot < 0) {
    if (free_slots_.empty()) {
      sequence.slot = n_slots_++;
    } else {
      sequence.slot = free_slots_.back();
      free_slots_.pop_back();
    }
    const auto [prompt, choice] = job_.sequences[sequence_idx];
    const PromptSpec& spec = job_.specs[prompt];
    const ParameterSet& set = (*job_.parameters)[spec.parameters];
    plan.slot_starts.push_back({sequence.slot, &set.params, set.stop_ids, (*job_.prompts)[prompt],
                                sampling_key(spec.key, choice), spec.max_tokens});
  }
  plan.samples.push_back({row, sequence.slot});
  flight.sample_sequences.push_back(sequence_idx);
  ++sequence.n_planned;
}

void Scheduler::commit(const StepResult& result, StepSink& sink) {
  CHECK(!in_flight_.empty());
  const InFlight flight = std::move(in_flight_.front());
  in_flight_.pop_front();
  CHECK(result.step_idx == flight.step_idx);
  CHECK(result.samples.size() == flight.sample_sequences.size());
  CHECK(result.scores.size() == flight.scores.size());
  CHECK(result.embeds.size() == flight.embed_nodes.size());
  for (size_t i = 0; i < flight.scores.size(); ++i) {
    sink.on_score(flight.scores[i].node, flight.scores[i].position, result.scores[i]);
  }
  for (size_t i = 0; i < flight.sample_sequences.size(); ++i) {
    const int32_t idx = flight.sample_sequences[i];
    if (has_ended(idx)) continue;  // stopped while this step was in flight
    Sequence& sequence = sequence_at(idx);
    sequence.sampled.push_back(result.samples[i].id);
    const bool stopped = sink.on_token(idx, result.samples[i]);
    if (stopped || static_cast<int32_t>(sequence.sampled.size()) == job_.spec_of(idx).max_tokens) {
      end_sequence(idx, stopped, sink);
    }
  }
  for (size_t i = 0; i < flight.embed_nodes.size(); ++i) {
    for (const int32_t idx : sequences_of(flight.embed_nodes[i])) {
      if (job_.embeds[job_.sequences[idx].prompt]) sink.on_embedding(idx, result.embeds[i]);
    }
  }
  for (int32_t idx : flight.ended_unsampled) end_sequence(idx, false, sink);
  std::erase_if(running_, [&](int32_t i) { return has_ended(i); });
  if (in_flight_.empty()) release_finished_nodes();
}

void Scheduler::release_finished_nodes() {
  for (int32_t node : release_later_) {
    BlockTable table = take_table(node);
    release_table(pool_, table);
  }
  release_later_.clear();
}

void Scheduler::end_sequence(int32_t idx, bool stopped, StepSink& sink) {
  if (started_of_[idx] != kNone) {
    Sequence& sequence = sequence_at(idx);
    if (sequence.state == SequenceState::kReady) {
      ready_.erase(idx);
      drop_dependent(sequence.node);
    }
    release_table(pool_, sequence.table);
    free_slots_.push_back(sequence.slot);
    if (!job_.parameters_of(idx).params.ignore_eos) {
      const int32_t n_tokens = static_cast<int32_t>(sequence.sampled.size());
      lengths_.observe(group_of_node(tree_, group_nodes_, sequence.node), n_tokens, !stopped);
      if (length_is_open(idx)) {
        ++counters_.n_predicted;
        counters_.prediction_error_tokens += std::abs(sequence.n_predicted - n_tokens);
        counters_.n_under_predicted += sequence.n_predicted < n_tokens;
      }
    }
    sequences_.give_back(started_of_[idx]);
  }
  started_of_[idx] = kHasEnded;
  ++n_ended_;
  sink.on_end(idx);
}

}  // namespace prefold
