// The blocks that hold one sequence's KV, in order of position. Free functions that keep the pool's
// reference counts right; a table owns one reference to each of its blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/block_pool.h"

namespace prefold {

struct BlockTable {
  std::vector<int32_t> blocks;
};

inline int32_t blocks_for(int32_t n_tokens, int32_t block_tokens) {
  return (n_tokens + block_tokens - 1) / block_tokens;
}

// Adds blocks until the table holds n_blocks. False, and nothing changed, if the pool lacks them.
bool grow_table(BlockPool& pool, BlockTable& table, int32_t n_blocks);

// A second owner of the first n_blocks blocks of `table`.
BlockTable share_table(BlockPool& pool, const BlockTable& table, int32_t n_blocks);

void release_table(BlockPool& pool, BlockTable& table);

}  // namespace prefold
