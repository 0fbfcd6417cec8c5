// What a scheduler is asked to run: prompts as token ids, their prefix tree, and the sequences
// (one a request and choice) that continue them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/cost_model.h"
#include "plan/length.h"
#include "plan/parameter_sets.h"
#include "plan/prefix_tree.h"
#include "plan/prompt_store.h"
#include "plan/request_params.h"

namespace prefold {

// What is asked of a prompt.
struct PromptSpec {
  uint64_t key = 0;        // request_key (plan/sampling_key.h)
  int32_t max_tokens = 0;  // tokens to sample at most; 0: the prompt is only scored
  int32_t parameters = 0;  // index into Job::parameters
};
static_assert(sizeof(PromptSpec) == 16);

// One choice of an answer. Those of a prompt follow one another.
struct SequenceSpec {
  int32_t prompt = 0;  // index into Job::prompts; not an empty one
  int32_t choice = 0;
};
static_assert(sizeof(SequenceSpec) == 8);

// A job has millions of prompts and sequences. What is pointed to lives as long as the run.
struct Job {
  const PromptStore* prompts = nullptr;
  std::span<const PromptSpec> specs;  // by prompt
  const ParameterSets* parameters = nullptr;
  const PrefixTree* tree = nullptr;
  // In the order of the tree: of their nodes, and of PrefixTree::order among those of a node.
  std::vector<SequenceSpec> sequences;
  // By prompt, or empty: how many top alternatives the log-probabilities of its tokens need; -1: no
  // log-probabilities. Each row of the tree is scored once, for all who ask.
  std::vector<int8_t> score_top;
  // By prompt, or empty: whether its embedding is wanted. Its sequences have max_tokens 0.
  std::vector<bool> embeds;
  Pooling pooling = Pooling::kLast;
  // What an earlier run tells about the lengths of answers; groups: those of the tree with at least
  // LengthDistribution::kEnough prompts (plan/prefix_groups.h), or none.
  LengthsByGroup length_prior;

  const PromptSpec& spec_of(int32_t sequence) const { return specs[sequences[sequence].prompt]; }
  const ParameterSet& parameters_of(int32_t sequence) const {
    return (*parameters)[spec_of(sequence).parameters];
  }
  int32_t score_top_of(int32_t prompt) const { return score_top.empty() ? -1 : score_top[prompt]; }
};

// The parts of the plan that can be turned off to see what they bring. Answers stay the same.
struct SchedulePolicy {
  bool chunked_prefill = true;    // decodes and prefill chunks share steps; off: prompts run whole,
                                  // in steps of their own, before any decode
  bool length_prediction = true;  // off: every sequence is given memory up to its max_tokens
  bool padded_prefill = false;    // the baseline without packing, for chunked_prefill off: each
                                  // prompt takes as many rows as the longest one in the step
  bool shared_attention = true;   // off: no shared segments, each row reads its whole prefix itself
  bool lru_prefix_cache = false;  // the baseline of servers: prompts reuse full blocks that happen
                                  // to be in memory still. For a tree without sharing
};

struct ScheduleLimits {
  int32_t token_budget = 512;  // rows of a step: prefill + decode (Sarathi-Serve, arXiv 2403.02310)
  int32_t n_blocks = 0;        // KV blocks in all
  SchedulePolicy policy;
  AttentionCosts attention_costs = default_cost_model().attention;  // choose shared segments
  int32_t n_group = 1;  // query heads that share a KV head: each row is so many pairs
  // Slots that sequences may hold at once; not fewer than the most sequences of one prompt.
  int32_t n_slots = INT32_MAX;
};

}  // namespace prefold
