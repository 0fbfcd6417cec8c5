// Element types of stored tensors: plain floats, the block-quantised types of GGUF under that
// format's numbers, and 4-bit types with an integer zero, which GPTQ and AWQ checkpoints become.
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
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kMXFP4 = 39,
  // Of no file: groups of so many elements share a scale and a zero.
  kInt4_32 = 1000,
  kInt4_64 = 1001,
  kInt4_128 = 1002,
};

struct TensorTypeTraits {
  TensorType type;
  std::string_view name;   // as GGUF tools print it: "Q4_1"
  int32_t block_elements;  // elements that share a scale; 1 for plain floats
  int32_t block_bytes;     // stored bytes of one such block
};

// Null for a number that is not one of GGUF's types above.
const TensorTypeTraits* find_tensor_type(int64_t gguf_number);
const TensorTypeTraits& traits_of(TensorType type);

// Of a type whose groups have a zero, at most 16, instead of a minimum.
constexpr bool has_zero_point(TensorType type) {
  return type == TensorType::kInt4_32 || type == TensorType::kInt4_64 ||
         type == TensorType::kInt4_128;
}

// Stored bytes of n_elements (a multiple of block_elements).
inline int64_t stored_bytes(const TensorTypeTraits& traits, int64_t n_elements) {
  return n_elements / traits.block_elements * traits.block_bytes;
}

}  // namespace prefold
