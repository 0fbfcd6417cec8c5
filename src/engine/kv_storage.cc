#include "engine/kv_storage.h"

#include <sys/mman.h>

#include "base/error.h"

namespace prefold {
namespace {

constexpr size_t kAlignment = 64;

size_t round_up(size_t n_bytes) { return (n_bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

size_t kv_bytes_per_block(const KvShape& shape) {
  return 2 * static_cast<size_t>(shape.n_layers) *
         round_up(kv_block_bytes(shape.type, shape.n_kv_heads, shape.head_dim));
}

KvStorage::KvStorage(const KvShape& shape, int32_t n_blocks)
    : shape_(shape), n_blocks_(n_blocks), n_bytes_(kv_bytes_per_block(shape) * n_blocks) {
  void* memory = mmap(nullptr, n_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(
        fmt::format("cannot reserve {} bytes for the KV cache ({} blocks of {} tokens); "
                    "lower --kv-memory",
                    n_bytes_, n_blocks, kKvBlockTokens));
  }
  data_ = static_cast<std::byte*>(memory);
  madvise(memory, n_bytes_, MADV_HUGEPAGE);  // decoding reads scattered tiles; fewer TLB misses
}

KvStorage::~KvStorage() { munmap(data_, n_bytes_); }

KvLayer KvStorage::layer(int32_t layer_idx) const {
  const size_t block_bytes =
      round_up(kv_block_bytes(shape_.type, shape_.n_kv_heads, shape_.head_dim));
  std::byte* k = data_ + 2 * block_bytes * layer_idx;
  return {shape_.type, shape_.n_kv_heads, shape_.head_dim,
          k,           k + block_bytes,   kv_bytes_per_block(shape_)};
}

}  // namespace prefold
