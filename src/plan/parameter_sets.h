// What many requests of a job have in common, each different set of it once: of a million lines
// most have the same one.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "plan/request_params.h"

namespace prefold {

struct ParameterSet {
  SamplingParams params;          // max_tokens and seed are none: each request has its own
  std::vector<int32_t> stop_ids;  // tokens that end an answer, in order
  std::optional<EmbeddingParams> embedding;
  int32_t n_computed = 1;  // choices that are computed: all, or one where all are the same
  bool has_seed = false;   // each request has its own
  LineKind kind = LineKind::kShort;
  std::string model;  // as written in the line

  bool operator==(const ParameterSet&) const = default;
};

class ParameterSets {
 public:
  // The index of the set; equal sets have the same one.
  int32_t add(ParameterSet set);

  // Stays where it is while sets are added.
  const ParameterSet& operator[](int32_t idx) const { return sets_[idx]; }
  int32_t size() const { return static_cast<int32_t>(sets_.size()); }

 private:
  std::deque<ParameterSet> sets_;
  std::unordered_multimap<uint64_t, int32_t> by_hash_;
  int32_t last_added_ = -1;  // likely to come again
};

}  // namespace prefold
