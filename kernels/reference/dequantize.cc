#include "kernels/reference/dequantize.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/half.h"

namespace prefold::reference {
namespace {

constexpr int kSuperBlock = 256;

uint16_t load_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
uint32_t load_u32(const uint8_t* p) {
  return load_u16(p) | static_cast<uint32_t>(load_u16(p + 2)) << 16;
}
float load_f16(const uint8_t* p) { return f16_to_f32(load_u16(p)); }
float to_float(int value) { return static_cast<float>(value); }

// Added to a product it changes nothing, not even the sign of a zero.
constexpr float kNoMinimum = -0.0f;

// The 4-bit quantum of element i of a 32-element block.
int nibble(const uint8_t* quanta, int i) { return i < 16 ? quanta[i] & 15 : quanta[i - 16] >> 4; }

void q4_0_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in);
  for (int i = 0; i < 32; ++i) out[i] = {d, nibble(in + 2, i) - 8, kNoMinimum};
}

void q4_1_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in), m = load_f16(in + 2);
  for (int i = 0; i < 32; ++i) out[i] = {d, nibble(in + 4, i), m};
}

int with_fifth_bit(const uint8_t* quanta, uint32_t fifth_bits, int i) {
  return nibble(quanta, i) | static_cast<int>(fifth_bits >> i & 1u) << 4;
}

void q5_0_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in);
  const uint32_t fifth_bits = load_u32(in + 2);
  for (int i = 0; i < 32; ++i) out[i] = {d, with_fifth_bit(in + 6, fifth_bits, i) - 16, kNoMinimum};
}

void q5_1_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in), m = load_f16(in + 2);
  const uint32_t fifth_bits = load_u32(in + 4);
  for (int i = 0; i < 32; ++i) out[i] = {d, with_fifth_bit(in + 8, fifth_bits, i), m};
}

void q8_0_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in);
  for (int i = 0; i < 32; ++i) out[i] = {d, static_cast<int8_t>(in[2 + i]), kNoMinimum};
}

// Two-bit quanta: each half of the super-block has 32 bytes, whose four bit pairs hold four runs of
// 32 elements.
int two_bits(const uint8_t* quanta, int i) {
  const int half = i / 128, pair = i % 128 / 32;
  return quanta[half * 32 + i % 32] >> (2 * pair) & 3;
}

void q2_k_block(const uint8_t* in, Quantised* out) {
  const uint8_t* scales = in;
  const uint8_t* quanta = in + 16;
  const float d = load_f16(in + 80), d_min = load_f16(in + 82);
  for (int i = 0; i < kSuperBlock; ++i) {
    const uint8_t scale_and_min = scales[i / 16];
    const float scale = d * to_float(scale_and_min & 15);
    const float minimum = d_min * to_float(scale_and_min >> 4);
    out[i] = {scale, two_bits(quanta, i), -minimum};
  }
}

// Sixteen 6-bit scales in 12 bytes: the low 4 bits in the first 8 bytes (low halves, then high
// halves), the upper 2 bits in the last 4 (bit pair g of byte j belongs to scale 4 * g + j).
int q3_k_scale(const uint8_t* packed, int group) {
  const int low = group < 8 ? packed[group] & 15 : packed[group - 8] >> 4;
  const int high = packed[8 + group % 4] >> (2 * (group / 4)) & 3;
  return (low | high << 4) - 32;
}

void q3_k_block(const uint8_t* in, Quantised* out) {
  const uint8_t* third_bits = in;  // bit r of byte l: element 32 * r + l
  const uint8_t* quanta = in + 32;
  const uint8_t* scales = in + 96;
  const float d = load_f16(in + 108);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int third_bit = third_bits[i % 32] >> (i / 32) & 1;
    const int quantum = two_bits(quanta, i) + 4 * third_bit - 4;
    out[i] = {d * to_float(q3_k_scale(scales, i / 16)), quantum, kNoMinimum};
  }
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the first four of each in the low 6 bits
// of bytes 0-3 and 4-7; of the last four, the low 4 bits in bytes 8-11 (scale low, minimum high)
// and the upper 2 in the top of bytes 0-3 and 4-7.
struct ScaleMin {
  int scale, minimum;
};
ScaleMin q4_k_scale_min(const uint8_t* packed, int group) {
  if (group < 4) return {packed[group] & 63, packed[group + 4] & 63};
  return {(packed[group + 4] & 15) | packed[group - 4] >> 6 << 4,
          packed[group + 4] >> 4 | packed[group] >> 6 << 4};
}

// Runs of 32 elements in the low and high halves of every 32 bytes.
int k_nibble(const uint8_t* quanta, int i) {
  const uint8_t both = quanta[i / 64 * 32 + i % 32];
  return i % 64 < 32 ? both & 15 : both >> 4;
}

// Q4_K, and Q5_K where fifth_bits is not null (bit r of byte l: element 32 * r + l).
void q4_k_like_block(const uint8_t* in, const uint8_t* fifth_bits, const uint8_t* quanta,
                     Quantised* out) {
  const float d = load_f16(in), d_min = load_f16(in + 2);
  for (int i = 0; i < kSuperBlock; ++i) {
    const ScaleMin group = q4_k_scale_min(in + 4, i / 32);
    const int fifth = fifth_bits != nullptr ? fifth_bits[i % 32] >> (i / 32) & 1 : 0;
    const int quantum = k_nibble(quanta, i) | fifth << 4;
    out[i] = {d * to_float(group.scale), quantum, -(d_min * to_float(group.minimum))};
  }
}

void q4_k_block(const uint8_t* in, Quantised* out) { q4_k_like_block(in, nullptr, in + 16, out); }
void q5_k_block(const uint8_t* in, Quantised* out) { q4_k_like_block(in, in + 16, in + 48, out); }

void q6_k_block(const uint8_t* in, Quantised* out) {
  const uint8_t* upper_bits = in + 128;
  const uint8_t* scales = in + 192;
  const float d = load_f16(in + 208);
  for (int i = 0; i < kSuperBlock; ++i) {
    // Each half of 128 elements: 64 bytes of nibbles (low: the first 64 elements), 32 bytes of
    // upper bit pairs (pair r: run r of 32 elements).
    const int half = i / 128, run = i % 128 / 32;
    const uint8_t both = in[half * 64 + i % 64];
    const int low = run < 2 ? both & 15 : both >> 4;
    const int high = upper_bits[half * 32 + i % 32] >> (2 * run) & 3;
    const int scale = static_cast<int8_t>(scales[i / 16]);
    out[i] = {d * to_float(scale), (low | high << 4) - 32, kNoMinimum};
  }
}

constexpr int kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};
constexpr int kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void iq4_nl_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in);
  for (int i = 0; i < 32; ++i) out[i] = {d, kIq4Values[nibble(in + 2, i)], kNoMinimum};
}

void iq4_xs_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in);
  const uint16_t upper_bits = load_u16(in + 2);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int group = i / 32;
    const int low = in[4 + group / 2] >> (4 * (group % 2)) & 15;
    const int high = upper_bits >> (2 * group) & 3;
    const int quantum = kIq4Values[nibble(in + 8 + group * 16, i % 32)];
    out[i] = {d * to_float((low | high << 4) - 32), quantum, kNoMinimum};
  }
}

void mxfp4_block(const uint8_t* in, Quantised* out) {
  const float scale = std::ldexp(1.0f, in[0] - 128);
  for (int i = 0; i < 32; ++i) out[i] = {scale, kMxfp4Values[nibble(in + 1, i)], kNoMinimum};
}

template <int kGroup>
void int4_block(const uint8_t* in, Quantised* out) {
  const float d = load_f16(in);
  for (int i = 0; i < kGroup; ++i) {
    out[i] = {d, nibble(in + 3 + i / 32 * 16, i % 32), -(d * to_float(in[2]))};
  }
}

using BlockFn = void (*)(const uint8_t* in, Quantised* out);
BlockFn block_fn(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      return nullptr;
    case TensorType::kQ4_0:
      return q4_0_block;
    case TensorType::kQ4_1:
      return q4_1_block;
    case TensorType::kQ5_0:
      return q5_0_block;
    case TensorType::kQ5_1:
      return q5_1_block;
    case TensorType::kQ8_0:
      return q8_0_block;
    case TensorType::kQ2_K:
      return q2_k_block;
    case TensorType::kQ3_K:
      return q3_k_block;
    case TensorType::kQ4_K:
      return q4_k_block;
    case TensorType::kQ5_K:
      return q5_k_block;
    case TensorType::kQ6_K:
      return q6_k_block;
    case TensorType::kIQ4_NL:
      return iq4_nl_block;
    case TensorType::kIQ4_XS:
      return iq4_xs_block;
    case TensorType::kMXFP4:
      return mxfp4_block;
    case TensorType::kInt4_32:
      return int4_block<32>;
    case TensorType::kInt4_64:
      return int4_block<64>;
    case TensorType::kInt4_128:
      return int4_block<128>;
  }
  return nullptr;
}

void dequantize_plain(TensorType type, const uint8_t* in, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    if (type == TensorType::kF32) out[i] = std::bit_cast<float>(load_u32(in + 4 * i));
    if (type == TensorType::kF16) out[i] = load_f16(in + 2 * i);
    if (type == TensorType::kBF16) out[i] = bf16_to_f32(load_u16(in + 2 * i));
  }
}

}  // namespace

void unpack(TensorType type, std::span<const std::byte> stored, std::span<Quantised> out) {
  const TensorTypeTraits& traits = traits_of(type);
  const auto block_elements = static_cast<size_t>(traits.block_elements);
  const auto block_bytes = static_cast<size_t>(traits.block_bytes);
  CHECK(out.size() % block_elements == 0);
  CHECK(stored.size() == out.size() / block_elements * block_bytes);
  const BlockFn unpack_block = block_fn(type);
  CHECK(unpack_block != nullptr);
  const auto* in = reinterpret_cast<const uint8_t*>(stored.data());
  for (size_t b = 0; b < out.size() / block_elements; ++b) {
    unpack_block(in + b * block_bytes, out.data() + b * block_elements);
  }
}

void dequantize(TensorType type, std::span<const std::byte> stored, std::span<float> out) {
  if (block_fn(type) == nullptr) {
    CHECK(stored.size() == out.size() * static_cast<size_t>(traits_of(type).block_bytes));
    dequantize_plain(type, reinterpret_cast<const uint8_t*>(stored.data()), out);
    return;
  }
  std::vector<Quantised> elements(out.size());
  unpack(type, stored, elements);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = elements[i].scale * to_float(elements[i].quant) + elements[i].minimum;
  }
}

}  // namespace prefold::reference
