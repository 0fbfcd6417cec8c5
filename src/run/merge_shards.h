// The results of a divided job's shards (run/shard_folder.h), joined.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "run/run_job.h"

namespace prefold {

struct MergeOptions {
  std::string folder;  // of the shards
  std::string output;
  std::string report;      // empty: none
  bool ordered = false;    // in input order, not shard by shard
  bool overwrite = false;  // an output that is there already
  bool quiet = false;      // errors only
};

// A shard without all of its results.
struct UnfinishedShard {
  int32_t shard = 0;
  int64_t n_lines = 0;
  int64_t n_missing = 0;
  std::vector<std::string> first_ids;  // of the missing ones, at most 3
};

struct MergeOutcome {
  ExitStatus status = ExitStatus::kAllAnswered;  // as of a run of all lines
  int64_t n_lines = 0;
  int64_t n_failed = 0;
  std::vector<UnfinishedShard> unfinished;  // of kStopped: nothing was written then
};

// Checks that each line of each shard has exactly one result, all by the same model and options,
// then writes them: to "<output>.part", which gets the output's name when it is whole, or to
// standard output ("-"). Then the report, of those of the shards (report/merged_report.h).
// Throws Error: no manifest, a shard's file that is not as it was written, results that are none
// of its lines' or stand twice, other options than another shard's, an output that is there.
// Memory: 48 bytes a line of the largest shard; with `ordered` 20 bytes a line of all besides.
// note: lines for people.
MergeOutcome merge_shards(const MergeOptions& options,
                          const std::function<void(const std::string& line)>& note);

}  // namespace prefold
