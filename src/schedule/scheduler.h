// Decides what runs in the next step. Knows tokens, blocks and slots, no tensors (I1).
//
// Each node of the prefix tree is prefilled once, in chunks; the sequences that end at it sample
// their first tokens from its last row, and its children start from its blocks. Full blocks are
// shared by reference. The rest of a partly filled last block is lent to one dependent at a time,
// who writes behind the node's tokens; whoever starts meanwhile gets a copy of the block. A node's
// blocks are given up as soon as its last dependent has started, a sequence's as soon as it ends.
//
// Work is admitted in depth-first order of the tree. A sequence starts as soon as the blocks to its
// predicted end fit. A node starts if there is room for its own blocks and then for the longest way
// down from it, besides what running sequences will take. So whenever nothing runs, the dependents
// of the node that started last can go on one by one: while predictions hold, no computed node is
// ever given up, however small the pool, and a request fits if its own blocks do. Room for all that
// waits for a node in prefill comes before what stands behind it in the order.
//
// If a prediction was too short, the least-computed sequence yields its blocks and is computed
// again later, with the same result. If nothing could go on otherwise, computed nodes that wait for
// their dependents are given up, those first that are needed last.
//
// A backend may have several steps in flight: next_step may be called again before commit. A
// sequence that stopped meanwhile has a superfluous row, whose sample is dropped.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "cache/block_pool.h"
#include "cache/block_table.h"
#include "plan/length.h"
#include "plan/segments.h"
#include "plan/step_plan.h"
#include "schedule/job.h"
#include "schedule/recycled.h"
#include "schedule/token_budget.h"

namespace prefold {

// Consecutive sequences, for range-based loops (Clang 14 cannot use libstdc++'s iota_view).
class SequenceRange {
 public:
  class Iterator {
   public:
    explicit Iterator(int32_t sequence) : sequence_(sequence) {}
    int32_t operator*() const { return sequence_; }
    Iterator& operator++() {
      ++sequence_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    int32_t sequence_;
  };

  SequenceRange(int32_t first, int32_t end) : first_(first), end_(end) {}
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return Iterator(end_); }
  int32_t size() const { return end_ - first_; }

 private:
  int32_t first_, end_;
};

// Who is told what came out of a step.
class StepSink {
 public:
  virtual ~StepSink() = default;
  // A sequence's next token. Returns true if the sequence ends with it.
  virtual bool on_token(int32_t sequence, const SampledToken& token) = 0;
  // The log-probability of the token at `position` of every prompt below tree node `node`, which
  // covers that position.
  virtual void on_score(int32_t node, int32_t position, const SampledToken& score) = 0;
  // What the embedding of a sequence's prompt is made of: see EmbedRow (plan/step_plan.h). Only of
  // jobs that want embeddings.
  virtual void on_embedding(int32_t sequence, const std::vector<float>& pooled) = 0;
  // A sequence has ended and all its tokens, scores and its embedding have been told.
  virtual void on_end(int32_t sequence) = 0;
};

struct ScheduleCounters {
  int64_t n_steps = 0;
  int64_t prefill_rows = 0;     // prompt tokens computed, recomputed ones too
  int64_t recomputed_rows = 0;  // prompt and output tokens computed again after a yield
  int64_t decode_rows = 0;
  int64_t padding_rows = 0;
  int64_t copied_tokens = 0;  // of partly shared blocks
  int64_t n_yields = 0;
  // Of sequences that were free to stop by themselves: the length predicted with their first token
  // beside the one they had in the end.
  int64_t n_predicted = 0;
  int64_t prediction_error_tokens = 0;  // summed, without sign
  int64_t n_under_predicted = 0;
};

class Scheduler {
 public:
  // The job must outlive the scheduler. Each prompt's tokens plus max_tokens must fit in
  // limits.n_blocks blocks.
  Scheduler(const Job& job, const ScheduleLimits& limits);

  // Every sequence has ended; after stop_admitting, every one that ran.
  bool done() const {
    return n_ended_ == static_cast<int32_t>(started_of_.size()) || (stopping_ && running_.empty());
  }

  // From the next step on no prompt is computed and no sequence started: those that decode go on to
  // their ends, unless they must yield.
  void stop_admitting();

  // The next step's rows, never none while a sequence waits (once stopping: runs) and no step is in
  // flight.
  StepPlan next_step();

  // Takes in the results of the oldest step in flight.
  void commit(const StepResult& result, StepSink& sink);

  const ScheduleCounters& counters() const { return counters_; }
  const BlockPool& pool() const { return pool_; }
  const LengthPredictor& lengths() const { return lengths_; }
  int32_t n_running() const { return static_cast<int32_t>(running_.size()); }
  std::span<const int32_t> running() const { return running_; }  // sequences
  int32_t n_sampled(int32_t running) const {
    return static_cast<int32_t>(sequence_at(running).sampled.size());
  }

 private:
  enum class NodeState : uint8_t { kUncomputed, kPrefilling, kLive };
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kHasEnded = -2;
  struct Node {
    int32_t n_dependents = 0;  // children and sequences that have yet to start from it
    int32_t started = kNone;   // its place in started_nodes_, while it has blocks
    int8_t score_top = -1;     // the most that a prompt below asks for
    NodeState state = NodeState::kUncomputed;
    bool computed_before : 1 = false;  // first tokens, scores and sums have been taken
    bool embeds : 1 = false;           // a prompt that ends here wants an embedding
    bool sums : 1 = false;             // one that ends here or below wants the mean of its rows
  };
  static_assert(sizeof(Node) == 12);  // one for each node of the tree
  struct StartedNode {
    int32_t n_computed = 0;  // positions whose KV is in the table
    BlockTable table;
  };
  enum class SequenceState : uint8_t { kSampled, kReady, kRunning };
  // One that has been planned to sample, and has not ended.
  struct Sequence {
    SequenceState state = SequenceState::kSampled;
    int32_t idx = 0;
    int32_t node = 0;
    int32_t slot = -1;
    int32_t n_planned = 0;    // samples planned, committed or not
    int32_t n_computed = 0;   // positions whose KV is in the table
    int32_t n_predicted = 0;  // tokens that it would sample, as predicted with the first one
    std::vector<int32_t> sampled;
    BlockTable table;
  };
  // How long sequences at and below a node can become.
  struct Reach {
    int32_t node = 0;
    int32_t most = 0;  // tokens with KV of the longest one, at its max_tokens
    int32_t sure = 0;  // those that are there even if sequences of open length sample one token
  };
  // Rows that a step will have: a chunk of a node's prefill or of a running sequence.
  struct Draft {
    int64_t order = 0;  // depth-first, so that sharers are neighbours; after the adapter
    bool is_node = false;
    bool is_chunk = false;  // of prefill, or of what is computed again; else a decode row
    int32_t idx = 0;
    int32_t n_rows = 0;
    int32_t adapter = kNoAdapter;
  };
  // The sum of the hidden states up to a node's end, which its children start theirs from.
  struct NodeSum {
    int32_t slot = 0;
    int32_t n_waiting = 0;  // children that have yet to start
  };
  struct InFlight {
    int64_t step_idx = 0;
    std::vector<int32_t> sample_sequences;  // as StepPlan::samples
    struct ScoreOf {
      int32_t node, position;
    };
    std::vector<ScoreOf> scores;           // as StepPlan::scores
    std::vector<int32_t> embed_nodes;      // as StepPlan::embeds
    std::vector<int32_t> ended_unsampled;  // sequences with max_tokens 0
  };

  // Who starts (admission.cc).
  bool admit_ready_sequences(StepPlan& plan);
  void admit_nodes(StepPlan& plan, TokenBudget& budget);
  void admit_against_all_odds(StepPlan& plan, TokenBudget& budget);
  bool admit_a_dependent(int32_t node, StepPlan& plan, TokenBudget& budget);
  bool anything_goes_on() const;
  std::optional<int32_t> next_node(int32_t& place) const;
  std::optional<int32_t> next_to_restart(int32_t node) const;
  bool was_started(int32_t node) const;
  bool admit_node(int32_t node, StepPlan& plan, TokenBudget& budget);
  void fill_with_whole_nodes(int32_t place, StepPlan& plan, TokenBudget& budget);
  void draft_node(int32_t node, TokenBudget& budget);
  bool start_sequence(int32_t sequence, StepPlan& plan);
  bool start_node(int32_t node, int32_t last_end, StepPlan& plan);
  bool slots_suffice(int32_t node) const;

  // The baseline's prefix cache (lru_prefix_cache.cc).
  void take_cached_blocks(int32_t node);
  void offer_computed_blocks(const Draft& draft);

  // Blocks: what work will take, and who gives way (memory.cc).
  bool fits(int64_t n_blocks) const { return pool_.n_free() - n_reserved_ >= n_blocks; }
  void reserve_for_running();
  void reserve_for_prefilling();
  int64_t blocks_waiting_below(int32_t node, int64_t enough) const;
  bool waits_to_start(int32_t sequence) const;
  int32_t predicted_end(int32_t sequence) const;
  Reach reach_of(int32_t node) const;
  Reach reach_of_sequences(int32_t node) const;
  void find_reaches();
  int32_t last_end_below(int32_t node) const;
  int32_t blocks_at_start(int32_t node) const;
  bool can_lend_last_block(int32_t node) const;
  bool length_is_open(int32_t sequence) const;
  int32_t predicted_length(int32_t sequence, int32_t n_sampled) const;
  BlockTable start_from(int32_t node, StepPlan& plan);
  void set_live(int32_t node);
  BlockTable end_live(int32_t node);
  BlockTable take_table(int32_t node);
  int32_t deepest_live(int32_t node) const;
  bool take_block_for_next_row(int32_t sequence);
  void drop_dependent(int32_t node);
  void yield(int32_t sequence);
  bool give_up_a_node(int32_t for_node, bool itself_too);

  // Building the step (scheduler.cc).
  void add_draft(Draft draft);
  void add_adapter_rows(const Draft& draft, StepPlan& plan);
  void draft_decodes(TokenBudget& budget);
  void draft_chunks(TokenBudget& budget);
  void emit_node_rows(const Draft& draft, StepPlan& plan, InFlight& flight);
  void add_sum(int32_t node, int32_t first_row, StepPlan& plan);
  int32_t take_sum_slot();
  void drop_waiting_child(int32_t node);
  void emit_sequence_rows(const Draft& draft, StepPlan& plan, InFlight& flight);
  void complete_node(int32_t node, StepPlan& plan, InFlight& flight);
  void add_padding(StepPlan& plan);
  void add_sample(int32_t sequence, int32_t row, StepPlan& plan, InFlight& flight);
  void release_finished_nodes();
  void end_sequence(int32_t sequence, bool stopped, StepSink& sink);

  int32_t prompt_length(const Sequence& sequence) const;
  int32_t rows_wanted(const Sequence& sequence) const;
  int64_t order_of_sequence(int32_t sequence) const;
  int32_t node_of_sequence(int32_t sequence) const;
  Sequence& start_sampling(int32_t sequence);
  bool has_ended(int32_t sequence) const { return started_of_[sequence] == kHasEnded; }
  Sequence& sequence_at(int32_t sequence) { return sequences_[started_of_[sequence]]; }
  const Sequence& sequence_at(int32_t sequence) const { return sequences_[started_of_[sequence]]; }
  StartedNode& started_node(int32_t node) { return started_nodes_[nodes_[node].started]; }
  const StartedNode& started_node(int32_t node) const {
    return started_nodes_[nodes_[node].started];
  }
  SequenceRange sequences_of(int32_t node) const {
    return {first_by_node_[node], first_by_node_[node + 1]};
  }
  TokenSpan tokens_of(int32_t node) const;

  const Job& job_;
  const PrefixTree& tree_;
  ScheduleLimits limits_;
  BlockPool pool_;
  std::vector<int32_t> group_nodes_;  // plan/prefix_groups.h
  LengthPredictor lengths_;           // by group
  std::vector<Node> nodes_;
  Recycled<StartedNode> started_nodes_;
  std::vector<int32_t> started_of_;  // by sequence: its place in sequences_, kNone or kHasEnded
  Recycled<Sequence> sequences_;
  std::vector<int32_t> first_by_node_;  // by node, and one more: the first sequence that ends there
  std::vector<Reach> reaches_;          // of nodes with children, in descending order of node

  int32_t first_unstarted_node_ = 0;
  std::vector<int32_t> prefilling_;     // nodes
  std::set<int32_t> live_;              // nodes, the root apart
  std::vector<int32_t> running_;        // sequences
  std::set<int32_t> ready_;             // sequences that wait for blocks
  std::vector<int32_t> release_later_;  // nodes without dependents whose rows are still in flight
  std::unordered_map<int32_t, NodeSum> sums_;  // by node
  std::vector<int32_t> free_sums_;
  std::vector<int32_t> free_sums_later_;  // that this step still reads
  int32_t n_sums_ = 0;
  std::vector<int32_t> free_slots_;
  int32_t n_slots_ = 0;
  std::vector<Draft> drafts_;
  SegmentScratch segment_scratch_;
  std::deque<InFlight> in_flight_;
  int64_t n_reserved_ = 0;  // blocks that are free and spoken for
  bool stopping_ = false;
  int32_t n_ended_ = 0;
  int32_t n_admitted_ = 0;  // sequences whose node was started, ended ones too
  int64_t next_step_idx_ = 0;
  ScheduleCounters counters_;
};

}  // namespace prefold
