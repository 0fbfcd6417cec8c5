// How long answers will be (S^3, arXiv 2306.06000): predicted from those that have finished, so
// that KV memory is set aside for the likely end and not for max_tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace prefold {

// Answers of like length: those longer than the bucket before, and at most n_tokens long.
struct LengthBucket {
  int32_t n_tokens = 0;
  int64_t n_stopped = 0;  // by themselves
  int64_t n_cut_off = 0;  // at max_tokens: they would have become longer
};

// Lengths in few buckets: exact below 128 tokens, less than 1/64 too long above.
class LengthDistribution {
 public:
  static constexpr int32_t kLongest = (1 << 20) - 1;  // longer ones count as this long

  void add(int32_t n_tokens, int64_t n_stopped, int64_t n_cut_off);

  // The length within which 9 of 10 answers end that are longer than n_sampled, with those that
  // were cut off taken for what they are: a lower bound (Kaplan and Meier, "Nonparametric
  // estimation from incomplete observations", 1958). kLongest if not that many ended as far as is
  // known; none while fewer than kEnough answers are known that were longer.
  static constexpr int64_t kEnough = 8;
  std::optional<int32_t> likely_end(int32_t n_sampled) const;

  // Of answers longer than n_sampled, which is below max_tokens, none going beyond that: the mean
  // length at which they end, and the one that the given share of them goes beyond. From all that
  // are known to be longer: up to the longest one that stopped by Kaplan and Meier's curve, beyond
  // by their mean rate of stopping per token (that of all answers where few of these stopped).
  double mean_end(int32_t n_sampled, int32_t max_tokens) const;
  double end_of_all_but(double share, int32_t n_sampled, int32_t max_tokens) const;

  int64_t n_answers() const;

  std::vector<LengthBucket> buckets() const;  // those with answers, in ascending order

 private:
  struct Counts {
    int64_t n_stopped = 0;
    int64_t n_cut_off = 0;
  };
  // The part of answers longer than n_sampled that goes on, down to where it is known.
  struct Survival {
    double share = 1.0;  // that goes on beyond known_to
    double known_to = 0;
    double mean_rest = 0;  // that those sample then; without bound if none has stopped
  };
  template <typename Fn>
  Survival survival(int32_t n_sampled, int32_t max_tokens, Fn&& on_end) const;

  std::vector<Counts> counts_;  // by bucket, up to the last one with answers
};

// Of a job's answers, and of those of each of its prefix groups (plan/prefix_groups.h). As a prior,
// what an earlier run found.
struct LengthsByGroup {
  LengthDistribution job;
  std::vector<LengthDistribution> groups;
};

class LengthPredictor {
 public:
  static constexpr int32_t kNoGroup = -1;

  LengthPredictor() = default;
  // prior.groups: as many as there are groups.
  explicit LengthPredictor(LengthsByGroup prior);

  // Called once for each finished sequence that was free to stop by itself.
  void observe(int32_t group, int32_t n_tokens, bool cut_off);

  // Tokens that a sequence will have sampled at its end, in [n_sampled + 1, max_tokens] (max_tokens
  // itself if n_sampled has reached it): the likely end of the group's answers in this run, else of
  // the group's in the prior, else of the job's in this run, else of the job's in the prior; where
  // none of them knows enough, twice n_sampled and at least 128.
  int32_t predict(int32_t group, int32_t n_sampled, int32_t max_tokens) const;

  const LengthsByGroup& observed() const { return observed_; }
  const LengthsByGroup& prior() const { return prior_; }

 private:
  LengthsByGroup prior_;
  LengthsByGroup observed_;
};

}  // namespace prefold
