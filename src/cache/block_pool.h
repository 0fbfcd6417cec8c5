// Who owns which KV block: the one place that hands blocks out and counts references (I2).
// Knows numbers only, no memory.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

namespace prefold {

// Which free block is handed out first: the one freed last, so that the memory in use stays
// compact, or the one freed first, so that old content stays findable for as long as possible
// (LRU).
enum class ReuseOrder { kNewestFirst, kOldestFirst };

class BlockPool {
 public:
  explicit BlockPool(int32_t n_blocks, ReuseOrder order = ReuseOrder::kNewestFirst);

  // A free block with one reference; none when all are taken. Its content is forgotten.
  std::optional<int32_t> allocate();
  void add_reference(int32_t block);
  // The block is free again once every reference to it is gone.
  void drop_reference(int32_t block);

  // Content-addressed reuse, as servers' prefix caches do it: a block in use may be given a content
  // (not 0; the first block with it keeps it), under which it is found until it is handed out anew.
  void set_content(int32_t block, uint64_t content);
  // One more reference to the block with that content, free or in use; none if there is none.
  std::optional<int32_t> take_content(uint64_t content);

  int32_t reference_count(int32_t block) const { return blocks_[block].n_references; }
  int32_t n_blocks() const { return n_blocks_; }
  int32_t n_free() const {
    return static_cast<int32_t>(free_.size()) + n_blocks_ - static_cast<int32_t>(blocks_.size());
  }
  int32_t n_used() const { return n_blocks() - n_free(); }
  int32_t peak_used() const { return peak_used_; }

 private:
  struct Block {
    int32_t n_references = 0;
    uint64_t content = 0;
    std::list<int32_t>::iterator free_place;  // valid while free
  };
  void take(int32_t block);

  ReuseOrder order_;
  int32_t n_blocks_;
  std::vector<Block> blocks_;  // that were ever handed out: most of a large pool may never be
  std::list<int32_t> free_;    // of them; handed out from the front
  std::unordered_map<uint64_t, int32_t> block_of_content_;
  int32_t peak_used_ = 0;
};

}  // namespace prefold
