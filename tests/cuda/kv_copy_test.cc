#include "kernels/cuda/kv_copy.h"

#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "cuda/gpu_fixture.h"

namespace prefold::cuda {
namespace {

struct CacheShape {
  FloatType type;
  int32_t n_layers, n_blocks, n_kv_heads, head_dim;
};

// The copies one after the other.
void copy_in_order(const CacheShape& shape, std::span<const BlockCopy> copies,
                   std::vector<uint8_t>& cache) {
  const size_t row_bytes = shape.head_dim * float_bytes(shape.type);
  const size_t head_bytes = row_bytes * kKvBlockTokens;
  const size_t block_bytes = head_bytes * shape.n_kv_heads;
  for (const BlockCopy& copy : copies) {
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      uint8_t* blocks = cache.data() + layer * shape.n_blocks * block_bytes;
      for (int32_t head = 0; head < shape.n_kv_heads; ++head) {
        std::memcpy(blocks + copy.to * block_bytes + head * head_bytes,
                    blocks + copy.from * block_bytes + head * head_bytes,
                    copy.n_tokens * row_bytes);
      }
    }
  }
}

void check_copies(const CacheShape& shape, const std::vector<BlockCopy>& copies) {
  std::vector<uint8_t> k(static_cast<size_t>(shape.n_layers) * shape.n_blocks * shape.n_kv_heads *
                         kKvBlockTokens * shape.head_dim * float_bytes(shape.type));
  for (size_t i = 0; i < k.size(); ++i) k[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  std::vector<uint8_t> v(k.rbegin(), k.rend());
  const DeviceBuffer<uint8_t> device_k(k), device_v(v);
  const DeviceBuffer<BlockCopy> device_copies(copies);
  const KvCopyArgs args = {
      .type = shape.type,
      .k = device_k.data(),
      .v = device_v.data(),
      .n_layers = shape.n_layers,
      .n_blocks = shape.n_blocks,
      .n_kv_heads = shape.n_kv_heads,
      .head_dim = shape.head_dim,
      .copies = device_copies.data(),
      .n_copies = static_cast<int32_t>(copies.size()),
  };
  run_kernel("kv_copy", launch_kv_copy(args, nullptr));
  copy_in_order(shape, copies, k);
  copy_in_order(shape, copies, v);
  CHECK(device_k.download() == k);
  CHECK(device_v.download() == v);
}

}  // namespace

TEST_CASE("KV copy: in order, so that a copied block may be read and a source written [smoke]") {
  const std::vector<BlockCopy> copies = {{0, 3, 17}, {3, 4, 9}, {1, 0, 32}, {4, 1, 31}, {0, 4, 1}};
  check_copies({FloatType::kF16, 2, 5, 2, 64}, copies);
  check_copies({FloatType::kF32, 3, 5, 3, 80}, copies);
  check_copies({FloatType::kBf16, 1, 5, 1, 16}, copies);
}

TEST_CASE("KV copy: without copies nothing is launched") {
  CHECK(launch_kv_copy({.n_layers = 1}, nullptr) == cudaSuccess);
}

}  // namespace prefold::cuda
