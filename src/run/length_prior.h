// The lengths of a run's answers in its report, and back from there as the prior of a later run.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "plan/length.h"
#include "plan/prefix_tree.h"
#include "run/options.h"

namespace prefold {

// Of a whole job, and of its largest prefix groups by what their prompts begin with: a fingerprint
// of the tokens up to the first one that sets the group apart from the others, and of the name of
// their adapter, so that another input with the same beginnings finds them again.
struct LengthPrior {
  LengthDistribution job;
  std::map<std::string, LengthDistribution> groups;
};

// "output_lengths" of the report (docs/formats.md). `lengths` is by the groups of `tree`; groups
// with too few answers to predict from are left out, and all but the 256 with most answers.
nlohmann::ordered_json output_lengths_json(const LengthsByGroup& lengths, const PrefixTree& tree,
                                           const PromptStore& prompts,
                                           std::span<const LoraOption> adapters = {});

// Of a report that --report wrote. Throws Error naming the file, the key and its value.
LengthPrior read_length_prior(const std::string& path);

// The prior by the groups of `tree`: Job::length_prior.
LengthsByGroup prior_of_groups(const LengthPrior& prior, const PrefixTree& tree,
                               const PromptStore& prompts,
                               std::span<const LoraOption> adapters = {});

}  // namespace prefold
