#include "run/work_left.h"

#include <algorithm>
#include <unordered_map>

#include "plan/prefix_groups.h"

namespace prefold {
namespace {

// Expected lengths at one moment.
class Lengths {
 public:
  explicit Lengths(const LengthPredictor& predictor)
      : predictor_(predictor), job_(predictor.observed().job) {}

  // A sequence that goes on will be longer than it is.
  void add_running(int32_t group, int32_t n_sampled) {
    job_.add(n_sampled, 0, 1);
    if (group == LengthPredictor::kNoGroup) return;
    const LengthDistribution& ended = predictor_.observed().groups[group];
    if (ended.n_answers() < LengthDistribution::kEnough) return;
    groups_.try_emplace(group, ended).first->second.add(n_sampled, 0, 1);
  }

  // Of sequences of this kind that have sampled so much.
  double mean_end(const WorkKind& kind, int32_t n_sampled) const {
    if (!kind.open || n_sampled >= kind.max_tokens) return kind.max_tokens;
    const LengthDistribution* known = known_of(kind.group);
    return known != nullptr ? known->mean_end(n_sampled, kind.max_tokens)
                            : predictor_.predict(kind.group, n_sampled, kind.max_tokens);
  }
  // The length at which the longest of n such sequences ends.
  double longest_end(const WorkKind& kind, int32_t n_sampled, int64_t n) const {
    if (!kind.open || n_sampled >= kind.max_tokens) return kind.max_tokens;
    const LengthDistribution* known = known_of(kind.group);
    if (known == nullptr) return predictor_.predict(kind.group, n_sampled, kind.max_tokens);
    return known->end_of_all_but(1.0 / static_cast<double>(n + 1), n_sampled, kind.max_tokens);
  }

 private:
  static bool is_enough(const LengthDistribution& lengths) {
    return lengths.n_answers() >= LengthDistribution::kEnough;
  }

  const LengthDistribution* known_of(int32_t group) const {
    if (group != LengthPredictor::kNoGroup) {
      if (const auto now = groups_.find(group); now != groups_.end()) return &now->second;
      for (const LengthsByGroup* lengths : {&predictor_.observed(), &predictor_.prior()}) {
        if (is_enough(lengths->groups[group])) return &lengths->groups[group];
      }
    }
    if (is_enough(predictor_.observed().job)) return &job_;
    return is_enough(predictor_.prior().job) ? &predictor_.prior().job : nullptr;
  }

  const LengthPredictor& predictor_;
  LengthDistribution job_;
  std::unordered_map<int32_t, LengthDistribution> groups_;  // with running sequences
};

}  // namespace

double steps_left(const Outlook& outlook, double rows_per_step) {
  const double rows = outlook.prefill_rows + outlook.decode_rows;
  if (outlook.n_waiting == 0) return std::max(outlook.longest_rest, rows / rows_per_step);
  // When the last one has begun, those beside it are on average half done.
  const double tail_rows =
      std::min(static_cast<double>(outlook.n_running) * outlook.mean_answer / 2, rows);
  const double tail_steps = std::max(outlook.long_answer - 1, 0.0);
  return (rows - tail_rows) / rows_per_step + std::max(tail_steps, tail_rows / rows_per_step);
}

double seconds_left(const Outlook& outlook, double rows_per_step, const StepSeconds& costs) {
  return costs.step * steps_left(outlook, rows_per_step) +
         costs.prefill_row * outlook.prefill_rows + costs.decode_row * outlook.decode_rows;
}

WorkLeft::WorkLeft(const Job& job)
    : job_(job),
      groups_(prefix_groups(*job.tree, LengthDistribution::kEnough)),
      n_left_(std::ssize(job.sequences)) {
  for (int32_t i = 0; i < std::ssize(job.sequences); ++i) ++n_by_kind_[kind_of(i)];
  for (const PrefixNode& node : job.tree->nodes) n_tree_tokens_ += node.n_tokens();
}

WorkKind WorkLeft::kind_of(int32_t sequence) const {
  const int32_t max_tokens = job_.spec_of(sequence).max_tokens;
  const int32_t node = job_.tree->node_of_prompt[job_.sequences[sequence].prompt];
  const bool open = max_tokens > 1 && !job_.parameters_of(sequence).params.ignore_eos;
  return {open ? group_of_node(*job_.tree, groups_, node) : LengthPredictor::kNoGroup, max_tokens,
          open};
}

void WorkLeft::on_end(int32_t sequence) {
  const auto kind = n_by_kind_.find(kind_of(sequence));
  if (--kind->second == 0) n_by_kind_.erase(kind);
  --n_left_;
}

Outlook WorkLeft::outlook(const Scheduler& scheduler) const {
  const LengthPredictor& predictor = scheduler.lengths();
  Lengths lengths(predictor);
  std::map<WorkKind, int64_t> n_waiting = n_by_kind_;
  for (const int32_t i : scheduler.running()) {
    const WorkKind kind = kind_of(i);
    if (scheduler.n_sampled(i) == 0) continue;  // as if it waited
    if (kind.open) lengths.add_running(kind.group, scheduler.n_sampled(i));
    --n_waiting[kind];
  }
  Outlook outlook;
  outlook.n_running = scheduler.n_running();
  outlook.n_waiting = n_left_ - outlook.n_running;
  outlook.prefill_rows =
      static_cast<double>(std::max<int64_t>(n_tree_tokens_ - scheduler.counters().prefill_rows, 0));
  for (const int32_t i : scheduler.running()) {
    const WorkKind kind = kind_of(i);
    const int32_t n = scheduler.n_sampled(i);
    if (n == 0) continue;
    outlook.decode_rows += lengths.mean_end(kind, n) - n;
    outlook.longest_rest =
        std::max(outlook.longest_rest, lengths.longest_end(kind, n, outlook.n_running) - n);
  }
  double n_sequences = 0;
  for (const auto& [kind, n] : n_waiting) {
    if (kind.max_tokens == 0 || n <= 0) continue;
    const double end = lengths.mean_end(kind, 0);
    outlook.decode_rows += static_cast<double>(n) * (end - 1);  // the first comes from its prompt
    outlook.mean_answer += static_cast<double>(n) * end;
    n_sequences += static_cast<double>(n);
    outlook.long_answer =
        std::max(outlook.long_answer,
                 lengths.longest_end(
                     kind, 0, std::min<int64_t>(n, std::max<int64_t>(outlook.n_running, 1))));
  }
  if (n_sequences > 0) outlook.mean_answer /= n_sequences;
  return outlook;
}

}  // namespace prefold
