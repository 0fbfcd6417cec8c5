#include "cache/block_table.h"

#include "base/check.h"

namespace prefold {

bool grow_table(BlockPool& pool, BlockTable& table, int32_t n_blocks) {
  const int32_t wanted = n_blocks - static_cast<int32_t>(table.blocks.size());
  if (wanted > pool.n_free()) return false;
  for (int32_t i = 0; i < wanted; ++i) table.blocks.push_back(*pool.allocate());
  return true;
}

BlockTable share_table(BlockPool& pool, const BlockTable& table, int32_t n_blocks) {
  CHECK(n_blocks <= static_cast<int32_t>(table.blocks.size()));
  BlockTable shared;
  shared.blocks.assign(table.blocks.begin(), table.blocks.begin() + n_blocks);
  for (int32_t block : shared.blocks) pool.add_reference(block);
  return shared;
}

void release_table(BlockPool& pool, BlockTable& table) {
  for (int32_t block : table.blocks) pool.drop_reference(block);
  table = BlockTable();  // with its memory: most tables of a large job are done with
}

}  // namespace prefold
