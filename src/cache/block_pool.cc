#include "cache/block_pool.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace prefold {

BlockPool::BlockPool(int32_t n_blocks) : references_(n_blocks, 0), free_(n_blocks) {
  std::iota(free_.rbegin(), free_.rend(), 0);  // block 0 is handed out first
}

std::optional<int32_t> BlockPool::allocate() {
  if (free_.empty()) return std::nullopt;
  const int32_t block = free_.back();
  free_.pop_back();
  references_[block] = 1;
  peak_used_ = std::max(peak_used_, n_used());
  return block;
}

void BlockPool::add_reference(int32_t block) {
  CHECK(references_[block] > 0);
  ++references_[block];
}

void BlockPool::drop_reference(int32_t block) {
  CHECK(references_[block] > 0);
  if (--references_[block] == 0) free_.push_back(block);
}

}  // namespace prefold
