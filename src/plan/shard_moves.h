// The last touch to plans of small jobs (plan/shards.h).
#pragma once

#include <cstdint>
#include <vector>

#include "plan/shards.h"

namespace prefold {

// Moves single items out of the costliest shard, or swaps them with another shard's, as long as the
// costlier of the two becomes cheaper by it. Does nothing where there are more than 256 items: with
// so many, packing alone comes close to the bound.
void improve_by_moves(const PrefixTree& tree, const ShardWork& work, int32_t n_shards,
                      std::vector<int32_t>& shard_of_item);

}  // namespace prefold
