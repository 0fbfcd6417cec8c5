// The memory behind the KV blocks: one arena, reserved at once, whose pages come into use as blocks
// are first written. A block's keys and values of all layers lie together, so that the memory in
// use is that of the blocks in use, also with huge pages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/attention.h"

namespace prefold {

struct KvShape {
  KvType type = KvType::kF32;
  int32_t n_layers = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
};

// Bytes that one block (kKvBlockTokens positions, K and V, all layers) takes.
size_t kv_bytes_per_block(const KvShape& shape);

class KvStorage {
 public:
  // Throws Error with the sizes if the address space cannot be had.
  KvStorage(const KvShape& shape, int32_t n_blocks);
  ~KvStorage();
  KvStorage(const KvStorage&) = delete;
  KvStorage& operator=(const KvStorage&) = delete;

  KvLayer layer(int32_t layer_idx) const;
  const KvShape& shape() const { return shape_; }
  int32_t n_blocks() const { return n_blocks_; }

 private:
  KvShape shape_;
  int32_t n_blocks_;
  size_t n_bytes_;
  std::byte* data_;
};

}  // namespace prefold
