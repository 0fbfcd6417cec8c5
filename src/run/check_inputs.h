// All that is wrong with a job's lines, found without a run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "io/request_reader.h"
#include "model/model_file.h"
#include "run/extra_field_counts.h"
#include "run/options.h"

namespace prefold {

struct CheckCounts {
  int64_t n_lines = 0;
  int64_t n_bad_lines = 0;
  std::map<std::string, int64_t> problems;  // by code
  ExtraFieldCounts extra_fields;
  int64_t n_prompt_tokens = 0;  // these two with a model only, of good lines
  int64_t longest_prompt = 0;
};

struct CheckHooks {
  // In input order; messages start with "<file>:<line>: ", and are those of a run's error lines.
  std::function<void(const RequestFailure& problem)> on_problem;
  std::function<void(const CheckCounts& counts)> on_progress;  // now and then
};

// Reads all lines of the files. With a model also what depends on it: token ids, chat templates,
// names of adapters, which are those of `lora`, and that prompts fit its context. Memory: 22 to 64
// bytes a line for the fingerprints of ids, and the lines that are read at once. Throws Error when
// reading fails.
CheckCounts check_inputs(const std::vector<std::string>& paths, const ModelFile* model,
                         const std::vector<LoraOption>& lora, ThreadPool& pool,
                         const CheckHooks& hooks);

}  // namespace prefold
