// A job's lines divided among machines. plan/shards.h decides which prompts go together,
// run/shard_folder.h makes the files.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/prefix_tree.h"
#include "plan/shard_costs.h"
#include "plan/shards.h"
#include "run/length_prior.h"
#include "run/prepared_job.h"
#include "run/shard_manifest.h"

namespace prefold {

// What shards are made of: a job's lines and what they cost. Lines that must get the same answer,
// and are answered once therefore, are one item; so are the inputs of an embedding line.
struct ShardableJob {
  ShardWork work;                     // in ns
  std::vector<int32_t> item_of_line;  // -1: a line that fails
  std::vector<PromptOutput> outputs;  // by prompt, as predicted
};

// `tree` is that of the prepared job, whose repeats have been found (unless nothing is shared).
ShardableJob make_shardable(const PreparedJob& prepared, const PrefixTree& tree,
                            const LengthsByGroup& prior, const CostModel& costs,
                            const ModelShape& shape);

// A division of the job: which shard each line goes to, shards in the order of their first lines,
// and what each will do. Lines that fail go where the line before them goes.
struct LineShards {
  std::vector<int32_t> shard_of_line;
  std::vector<ShardEntry> shards;  // without digests
  double bound_s = 0;
};

LineShards divide_lines(const PreparedJob& prepared, const PrefixTree& tree,
                        const ShardableJob& job, int32_t n_shards);

}  // namespace prefold
