// What the options make of a prepared job: the tree by which it runs, the scheduler's limits, and
// what can be foretold about the run without running it.
#pragma once

#include <cstdint>
#include <optional>

#include "plan/cost_model.h"
#include "run/length_prior.h"
#include "run/prepared_job.h"
#include "schedule/job.h"

namespace prefold {

// `tree`, that of all prompts, or what --sharing, --batching and --order make of it, given what is
// known of output lengths. With sharing, repeated requests are found on the way.
PrefixTree tree_to_run(PrefixTree tree, PreparedJob& prepared, const RunOptions& options,
                       const LengthPrior& prior);

// Blocks that the job could use at most: each node and each sequence by itself.
int64_t blocks_of_job(const Job& job);

// Tokens of a step: as typed; else the best under the cost model, on a GPU what resolve chose.
int32_t token_budget_of(const RunConfig& config, const ModelConfig& model, const CostModel& costs);

// Slots that a GPU holds, by rows of a step: some sequences wait for KV blocks, and one that yields
// keeps its slot.
inline constexpr int32_t kSlotsPerRow = 4;

// Samples and scores that one step of at most token_budget rows can have.
int32_t most_items_of_step(const Job& job, int32_t token_budget);

// The pool is what the job can use, at most config.n_kv_blocks; config.token_budget is final.
ScheduleLimits schedule_limits(const RunConfig& config, const ModelConfig& model, const Job& job,
                               const CostModel& costs);

struct Forecast {
  int64_t n_steps = 0;
  int64_t n_samples = 0;  // output tokens
  int64_t peak_blocks = 0;
  double run_s = 0;
};

// Schedules the job with no engine behind it, every answer being as long as predicted before
// anything is known (plan/length.h). The seconds are the cost model's, which counts matrix products
// and attention; the rest hardly depends on it. config.token_budget is final. None for a job of
// more than kMaxForecastRows rows, whose schedule would take too long to make ahead of time.
inline constexpr int64_t kMaxForecastRows = 5'000'000;
std::optional<Forecast> forecast(const Job& job, const RunConfig& config, const ModelConfig& model,
                                 const CostModel& costs);

}  // namespace prefold
