// Who owns which KV block: the one place that hands blocks out and counts references (I2).
// Knows numbers only, no memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace prefold {

class BlockPool {
 public:
  explicit BlockPool(int32_t n_blocks);

  // A free block with one reference, the one freed last first so that memory in use stays compact;
  // none when all are taken.
  std::optional<int32_t> allocate();
  void add_reference(int32_t block);
  // The block is free again once every reference to it is gone.
  void drop_reference(int32_t block);

  int32_t reference_count(int32_t block) const { return references_[block]; }
  int32_t n_blocks() const { return static_cast<int32_t>(references_.size()); }
  int32_t n_free() const { return static_cast<int32_t>(free_.size()); }
  int32_t n_used() const { return n_blocks() - n_free(); }
  int32_t peak_used() const { return peak_used_; }

 private:
  std::vector<int32_t> references_;  // by block
  std::vector<int32_t> free_;        // a stack
  int32_t peak_used_ = 0;
};

}  // namespace prefold
