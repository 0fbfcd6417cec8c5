// What a run has still to do, as far as its answers so far tell.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "run/step_costs.h"
#include "schedule/scheduler.h"

namespace prefold {

// Sequences of one prefix group that may become equally long.
struct WorkKind {
  int32_t group = 0;       // or LengthPredictor::kNoGroup
  int32_t max_tokens = 0;  // 0: nothing is sampled
  bool open = false;       // may stop before
  auto operator<=>(const WorkKind&) const = default;
};

struct Outlook {
  double prefill_rows = 0;
  double decode_rows = 0;  // expected
  int64_t n_running = 0;   // sequences
  int64_t n_waiting = 0;
  double longest_rest = 0;  // tokens that the running sequence which ends last will still sample
  double mean_answer = 0;   // tokens that a waiting sequence will sample, expected
  double long_answer = 0;   // the longest of those that begin last, expected
};

// Steps that this takes if they have so many rows while sequences wait: those, and at the end the
// answers that begin last. Where nothing waits, the longest rest decides.
double steps_left(const Outlook& outlook, double rows_per_step);

// The time of it all. rows_per_step above 0.
double seconds_left(const Outlook& outlook, double rows_per_step, const StepSeconds& costs);

// Counts the sequences that have yet to end by what their lengths can be predicted from.
class WorkLeft {
 public:
  explicit WorkLeft(const Job& job);  // must outlive this

  void on_end(int32_t sequence);

  // Lengths are expected as those of finished answers of the same prefix group, of the prior's, of
  // the job or of the prior's job (plan/length.h), whichever has enough of them first; running
  // sequences count as longer than they are now. Where nothing is known the scheduler's guess
  // stands. Time: that of the groups and running sequences, whose lengths are looked through.
  Outlook outlook(const Scheduler& scheduler) const;

  int64_t n_left() const { return n_left_; }

 private:
  WorkKind kind_of(int32_t sequence) const;

  const Job& job_;
  std::vector<int32_t> groups_;
  std::map<WorkKind, int64_t> n_by_kind_;  // that have yet to end
  int64_t n_left_ = 0;
  int64_t n_tree_tokens_ = 0;
};

}  // namespace prefold
