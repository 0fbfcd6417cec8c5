// What the parts of a job are predicted to cost, apart from how they fall into steps: rows come in
// full steps, and each row of a shared prefix is read by many at once.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "plan/cost_model.h"
#include "plan/prefix_tree.h"

namespace prefold {

struct ModelShape {
  std::map<int32_t, int32_t> layers_by_window;  // how many; 0: they see all positions
  int32_t n_group = 1;                          // query heads that share a KV head
  int32_t token_budget = kDefaultTokenBudget;   // rows of a step
};

// By node, the nanoseconds that its tokens take once: all layers, and attention to what is before.
std::vector<int64_t> prefill_costs_ns(const PrefixTree& tree, const CostModel& costs,
                                      const ModelShape& shape);

// What comes after a prompt's prefill.
struct PromptOutput {
  int64_t n_decode_rows = 0;  // of all its sequences
  int64_t n_sequences = 0;
  int64_t n_logit_rows = 0;  // sampled from or scored
};

// By prompt. A sequence's own positions are read by it alone, those of a shared node by many.
std::vector<int64_t> output_costs_ns(const PrefixTree& tree, std::span<const PromptOutput> outputs,
                                     const CostModel& costs, const ModelShape& shape);

}  // namespace prefold
