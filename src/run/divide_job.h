// `prefold plan --shards`: from inputs to shards.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "run/options.h"
#include "run/shards.h"

namespace prefold {

struct DivideHooks {
  std::function<void(const std::string& line)> info;  // bad lines, warnings
  std::function<void(int64_t n_lines, int64_t n_tokens)> reading = nullptr;
};

struct DividedJob {
  bool was_there = false;  // the folder held this split already; the rest is of no split then
  int64_t n_lines = 0;
  int64_t n_failed = 0;  // lines that no answer is expected for
  int64_t n_prompt_tokens = 0;
  int64_t n_tree_tokens = 0;          // what one machine computes of them
  bool time_is_known = false;         // else times are right relative to each other only
  double whole_s = 0;                 // of one machine
  std::vector<LineShards> divisions;  // one for each number wanted
};

// Reads the job and divides it into each number of shards. With a folder, not empty, there is one
// number, and the shards are written there (run/shard_folder.h). Throws Error as that does, and if
// the job cannot be read.
DividedJob divide_job(const RunOptions& options, const std::vector<int32_t>& shard_counts,
                      const std::string& folder, const DivideHooks& hooks);

}  // namespace prefold
