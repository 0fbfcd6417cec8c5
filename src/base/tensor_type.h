// Element types of stored tensors: plain floats and the block-quantised types of GGUF.
// Numbers of GgmlType are those of the GGUF specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace prefold {

enum class TensorType : int32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

struct TensorTypeTraits {
  TensorType type;
  std::string_view name;   // as GGUF tools print it: "Q4_1"
  int32_t block_elements;  // elements that share a scale; 1 for plain floats
  int32_t block_bytes;     // stored bytes of one such block
};

// Null for a number that is not one of the types above.
const TensorTypeTraits* find_tensor_type(int64_t gguf_number);
const TensorTypeTraits& traits_of(TensorType type);

// Stored bytes of n_elements (a multiple of block_elements).
inline int64_t stored_bytes(const TensorTypeTraits& traits, int64_t n_elements) {
  return n_elements / traits.block_elements * traits.block_bytes;
}

}  // namespace prefold
