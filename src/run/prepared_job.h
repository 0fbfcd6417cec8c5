// From input lines to a job: prompts rendered, tokenised and checked, duplicates found.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "io/finished_lines.h"
#include "io/request_reader.h"
#include "plan/parameter_sets.h"
#include "plan/prefix_tree.h"
#include "plan/prompt_store.h"
#include "plan/request.h"
#include "run/extra_field_counts.h"
#include "run/line_texts.h"
#include "run/options.h"
#include "run/text_model.h"
#include "schedule/job.h"

namespace prefold {

// A request that shares its answer with others.
struct SharedAnswer {
  int32_t request = 0;
  int32_t leader = 0;      // the first of them, whose answer is computed
  int32_t next = kNoNext;  // of them, in input order
  static constexpr int32_t kNoNext = -1;
};

// Lines that will be answered are requests, numbered in input order; an embedding line is as many
// of these as it has inputs, one after another. A request takes 16 bytes in specs, 4 in line_of, 5
// in texts and, besides its tokens, 4.5 in prompts: what most lines have in common is kept once,
// what only the result needs in a file.
struct PreparedJob {
  std::vector<PromptSpec> specs;     // by request
  std::vector<int32_t> line_of;      // by request: its place among all lines, failed ones included
  PromptStore prompts;               // by request
  LineTexts texts;                   // by request
  std::vector<int32_t> adapters;     // by request, as PrefixTree::adapters
  std::vector<SharedAnswer> shared;  // in ascending order of request; see find_repeats
  ParameterSets parameters;
  int64_t n_lines = 0;  // requests, failures and finished lines
  ExtraFieldCounts extra_fields;
  std::vector<FileDigest> inputs;  // what was read
  bool is_whole = true;            // all lines were read; else reading was stopped
  // Lines that had their results already: all of them, those that failed, and those before the
  // first that had none.
  int64_t n_finished = 0;
  int64_t n_finished_failures = 0;
  int64_t n_finished_in_order = 0;
  int64_t n_left_out = 0;  // requests beyond PrepareHooks::max_requests

  int32_t n_requests() const { return static_cast<int32_t>(specs.size()); }
  const ParameterSet& parameters_of(int32_t request) const {
    return parameters[specs[request].parameters];
  }
  // The request whose answer this one gets: itself, unless it repeats an earlier one.
  int32_t leader_of(int32_t request) const;
  // The next request with the same leader, or SharedAnswer::kNoNext.
  int32_t next_with_same_answer(int32_t request) const;
};

// The requests of a line: one, or an embedding line's inputs.
struct LineParts {
  int32_t first = 0;
  int32_t n = 1;
};
LineParts parts_of_line(const PreparedJob& prepared, int32_t request);

// What the result's line is written from: the request as it was read, but without source, prompt,
// seed and max_tokens, and the text of a prompt that is echoed. Throws Error when the temporary
// file cannot be read.
struct KeptLine {
  Request request;
  std::optional<std::string> echoed_text;
};
KeptLine kept_line(const PreparedJob& prepared, int32_t request);

struct PrepareHooks {
  // Called for each line that will have no answer, in input order.
  std::function<void(const LineError& error, int64_t line_idx)> on_failure;
  // Called now and then while lines are read.
  std::function<void(int64_t n_lines, int64_t n_tokens)> on_progress;
  // Ends the reading early once it is true.
  std::function<bool()> should_stop = nullptr;
  // Lines whose results are there already: they are told to nobody and planned for nothing.
  const FinishedLines* finished = nullptr;
  // Lines to plan for at most; later ones are left to another run.
  int64_t max_requests = std::numeric_limits<int64_t>::max();
};

// Reads all lines and gives the reader up, which remembers every id. A bad one is told to
// on_failure and stops nothing. Every request is its own leader.
PreparedJob prepare_job(RequestReader reader, const TextModel& text, const RunConfig& config,
                        ThreadPool& pool, const PrepareHooks& hooks);

// Gives each request that must get the same answer as an earlier one that one as its leader: the
// same prompt and parameters, and greedy or with the same seed.
void find_repeats(PreparedJob& prepared, const PrefixTree& tree);

// The alternatives that log-probabilities of the prompt's tokens need; -1: none are asked for.
int32_t wanted_score_top(const SamplingParams& params);

// By prompt: the rows that its answers will decode (their tokens less the first of each), as
// predicted from the prior by the groups of `tree`.
std::vector<int64_t> predicted_decode_tokens(const PreparedJob& prepared, const PrefixTree& tree,
                                             const LengthsByGroup& prior);

// The sequences to compute; pooling: of embedding lines. `tree` and `prepared` must outlive the
// job.
Job make_job(const PreparedJob& prepared, const PrefixTree& tree, Pooling pooling);

}  // namespace prefold
