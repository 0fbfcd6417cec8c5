#include "cache/block_pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace prefold {

BlockPool::BlockPool(int32_t n_blocks, ReuseOrder order) : order_(order), n_blocks_(n_blocks) {}

void BlockPool::take(int32_t block) {
  free_.erase(blocks_[block].free_place);
  blocks_[block].n_references = 1;
  peak_used_ = std::max(peak_used_, n_used());
}

std::optional<int32_t> BlockPool::allocate() {
  const auto n_known = static_cast<int32_t>(blocks_.size());
  if (n_known < n_blocks_ && (order_ == ReuseOrder::kOldestFirst || free_.empty())) {
    free_.push_front(n_known);
    blocks_.emplace_back().free_place = free_.begin();
  }
  if (free_.empty()) return std::nullopt;
  const int32_t block = free_.front();
  if (const uint64_t content = std::exchange(blocks_[block].content, 0); content != 0) {
    block_of_content_.erase(content);
  }
  take(block);
  return block;
}

void BlockPool::add_reference(int32_t block) {
  CHECK(blocks_[block].n_references > 0);
  ++blocks_[block].n_references;
}

void BlockPool::drop_reference(int32_t block) {
  CHECK(blocks_[block].n_references > 0);
  if (--blocks_[block].n_references > 0) return;
  const auto place = order_ == ReuseOrder::kNewestFirst ? free_.begin() : free_.end();
  blocks_[block].free_place = free_.insert(place, block);
}

void BlockPool::set_content(int32_t block, uint64_t content) {
  CHECK(content != 0 && blocks_[block].n_references > 0);
  if (blocks_[block].content != 0) return;
  if (block_of_content_.emplace(content, block).second) blocks_[block].content = content;
}

std::optional<int32_t> BlockPool::take_content(uint64_t content) {
  const auto found = block_of_content_.find(content);
  if (found == block_of_content_.end()) return std::nullopt;
  if (blocks_[found->second].n_references == 0) {
    take(found->second);
  } else {
    add_reference(found->second);
  }
  return found->second;
}

}  // namespace prefold
