// Random stored tensors for tests: every quant and small scale is possible, all values are ordinary
// numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "base/tensor_type.h"

namespace prefold {

inline constexpr TensorType kAllTensorTypes[] = {
    TensorType::kF32,     TensorType::kF16,     TensorType::kBF16,    TensorType::kQ4_0,
    TensorType::kQ4_1,    TensorType::kQ5_0,    TensorType::kQ5_1,    TensorType::kQ8_0,
    TensorType::kQ2_K,    TensorType::kQ3_K,    TensorType::kQ4_K,    TensorType::kQ5_K,
    TensorType::kQ6_K,    TensorType::kIQ4_NL,  TensorType::kIQ4_XS,  TensorType::kMXFP4,
    TensorType::kInt4_32, TensorType::kInt4_64, TensorType::kInt4_128};

// Offsets of the f16 scales in a block; -1 where there is none.
struct ScaleOffsets {
  int32_t first = -1;
  int32_t second = -1;
};
inline ScaleOffsets scale_offsets(TensorType type) {
  switch (type) {
    case TensorType::kF16:
      return {0};
    case TensorType::kQ4_0:
    case TensorType::kQ5_0:
    case TensorType::kQ8_0:
    case TensorType::kIQ4_NL:
    case TensorType::kIQ4_XS:
    case TensorType::kInt4_32:
    case TensorType::kInt4_64:
    case TensorType::kInt4_128:
      return {0};
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return {0, 2};
    case TensorType::kQ2_K:
      return {80, 82};
    case TensorType::kQ3_K:
      return {108};
    case TensorType::kQ6_K:
      return {208};
    default:
      return {};
  }
}

inline std::vector<std::byte> random_stored(TensorType type, int64_t n_elements,
                                            std::mt19937& rng) {
  const TensorTypeTraits& traits = traits_of(type);
  std::vector<std::byte> bytes(static_cast<size_t>(stored_bytes(traits, n_elements)));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng() >> 24);
  const auto block_bytes = static_cast<size_t>(traits.block_bytes);
  for (size_t block = 0; block < bytes.size(); block += block_bytes) {
    const auto put = [&](size_t offset, uint32_t value, size_t size) {
      std::memcpy(bytes.data() + block + offset, &value, size);
    };
    // Signed, from 2^-8 to 2^-4; now and then a subnormal f16.
    const auto half = [&] {
      const uint32_t sign_and_mantissa = rng() & 0x83ff;
      return sign_and_mantissa | (rng() % 50 == 0 ? 0 : (7 + rng() % 5) << 10);
    };
    const ScaleOffsets at = scale_offsets(type);
    if (at.first >= 0) put(static_cast<size_t>(at.first), half(), 2);
    if (at.second >= 0) put(static_cast<size_t>(at.second), half(), 2);
    if (type == TensorType::kMXFP4) put(0, 118 + rng() % 10, 1);  // the exponent
    if (has_zero_point(type)) put(2, rng() % 17, 1);
    if (type == TensorType::kF32) put(0, (rng() & 0x807fffff) | (120 + rng() % 6) << 23, 4);
    if (type == TensorType::kBF16) put(0, (rng() & 0x807f) | (120 + rng() % 6) << 7, 2);
  }
  return bytes;
}

inline std::vector<float> random_floats(size_t n, std::mt19937& rng) {
  std::vector<float> values(n);
  std::normal_distribution<float> normal;
  for (float& value : values) value = normal(rng);
  return values;
}

}  // namespace prefold
