// Sixteen 32-bit lanes of bits beside the sixteen f32 lanes of simd.h: what the expansion of
// quantised weights needs. All operations are exact.
#pragma once

#include <cstddef>

#include "kernels/cpu/simd.h"

namespace prefold::KERNEL_ISA {

inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact
    const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-8f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 112;
  const uint32_t bits = sign | (wide_exponent << 23) | (mantissa << 13);
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// 2^(e - 128) of a byte e.
inline float e8m0_to_float(uint8_t e) {
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}
inline F32x16 load_e8m0(const std::byte* p) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = e8m0_to_float(static_cast<uint8_t>(p[i]));
  return load(lanes);
}

#if defined(__AVX512F__)

struct U32x16 {
  __m512i v;
};
inline U32x16 load_u32(const std::byte* p) { return {_mm512_loadu_si512(p)}; }
inline U32x16 broadcast_u32(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
inline U32x16 operator&(U32x16 a, U32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
inline U32x16 operator|(U32x16 a, U32x16 b) { return {_mm512_or_si512(a.v, b.v)}; }
inline U32x16 operator^(U32x16 a, U32x16 b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int kBits>
inline U32x16 shift_right(U32x16 a) {
  return {_mm512_srli_epi32(a.v, kBits)};
}
template <int kBits>
inline U32x16 shift_left(U32x16 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
// Byte kByte of each lane, zero-extended.
template <int kByte>
inline U32x16 byte_of(U32x16 a) {
  if constexpr (kByte == 0) return {_mm512_and_si512(a.v, _mm512_set1_epi32(0xff))};
  if constexpr (kByte == 3) return {_mm512_srli_epi32(a.v, 24)};
  constexpr int kZero = 0x80 << 24 | 0x80 << 16 | 0x80 << 8;
  return {_mm512_shuffle_epi8(
      a.v, _mm512_broadcast_i32x4(_mm_setr_epi32(kZero | kByte, kZero | (kByte + 4),
                                                 kZero | (kByte + 8), kZero | (kByte + 12))))};
}
// The entry of a table of 16 bytes for each byte of a, which must be below 16.
inline U32x16 look_up(const uint8_t* table, U32x16 a) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), a.v)};
}
// Lanes must be below 2^31.
inline F32x16 to_f32(U32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline F32x16 load_f16(const std::byte* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline F32x16 load_bf16(const std::byte* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
inline F32x16 load_i8(const std::byte* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}
// The low (kHigh false) or high half of 16 bytes.
template <bool kHigh>
inline F32x16 load_u4(const std::byte* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m512i wide = _mm512_cvtepu8_epi32(bytes);
  if constexpr (kHigh) return {_mm512_cvtepi32_ps(_mm512_srli_epi32(wide, 4))};
  return {_mm512_cvtepi32_ps(_mm512_and_si512(wide, _mm512_set1_epi32(15)))};
}

#elif defined(__AVX2__)

struct U32x16 {
  __m256i lo, hi;
};
inline __m256i load_256(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline U32x16 load_u32(const std::byte* p) { return {load_256(p), load_256(p + 32)}; }
inline U32x16 broadcast_u32(uint32_t x) {
  const __m256i v = _mm256_set1_epi32(static_cast<int>(x));
  return {v, v};
}
inline U32x16 operator&(U32x16 a, U32x16 b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
inline U32x16 operator|(U32x16 a, U32x16 b) {
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
inline U32x16 operator^(U32x16 a, U32x16 b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
template <int kBits>
inline U32x16 shift_right(U32x16 a) {
  return {_mm256_srli_epi32(a.lo, kBits), _mm256_srli_epi32(a.hi, kBits)};
}
template <int kBits>
inline U32x16 shift_left(U32x16 a) {
  return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
}
template <int kByte>
inline U32x16 byte_of(U32x16 a) {
  if constexpr (kByte == 0) return a & broadcast_u32(0xff);
  if constexpr (kByte == 3) return shift_right<24>(a);
  constexpr int kZero = 0x80 << 24 | 0x80 << 16 | 0x80 << 8;
  const __m256i pick = _mm256_broadcastsi128_si256(_mm_setr_epi32(
      kZero | kByte, kZero | (kByte + 4), kZero | (kByte + 8), kZero | (kByte + 12)));
  return {_mm256_shuffle_epi8(a.lo, pick), _mm256_shuffle_epi8(a.hi, pick)};
}
inline U32x16 look_up(const uint8_t* table, U32x16 a) {
  const __m256i entries =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(entries, a.lo), _mm256_shuffle_epi8(entries, a.hi)};
}
inline F32x16 to_f32(U32x16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
inline __m128i load_128(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline F32x16 load_f16(const std::byte* p) {
  return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 16))};
}
inline F32x16 load_bf16(const std::byte* p) {
  const __m256i lo = _mm256_cvtepu16_epi32(load_128(p));
  const __m256i hi = _mm256_cvtepu16_epi32(load_128(p + 16));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
}
inline F32x16 load_i8(const std::byte* p) {
  const __m128i bytes = load_128(p);
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
template <bool kHigh>
inline F32x16 load_u4(const std::byte* p) {
  const __m128i bytes = load_128(p);
  const U32x16 wide{_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
  return to_f32(kHigh ? shift_right<4>(wide) : wide & broadcast_u32(15));
}

#else

struct U32x16 {
  uint32_t v[kLanes];
};
template <typename Fn>
inline U32x16 each_u32(Fn fn) {
  U32x16 r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = fn(i);
  return r;
}
inline U32x16 load_u32(const std::byte* p) {
  U32x16 r;
  std::memcpy(r.v, p, sizeof(r.v));
  return r;
}
inline U32x16 broadcast_u32(uint32_t x) {
  return each_u32([&](int) { return x; });
}
inline U32x16 operator&(U32x16 a, U32x16 b) {
  return each_u32([&](int i) { return a.v[i] & b.v[i]; });
}
inline U32x16 operator|(U32x16 a, U32x16 b) {
  return each_u32([&](int i) { return a.v[i] | b.v[i]; });
}
inline U32x16 operator^(U32x16 a, U32x16 b) {
  return each_u32([&](int i) { return a.v[i] ^ b.v[i]; });
}
template <int kBits>
inline U32x16 shift_right(U32x16 a) {
  return each_u32([&](int i) { return a.v[i] >> kBits; });
}
template <int kBits>
inline U32x16 shift_left(U32x16 a) {
  return each_u32([&](int i) { return a.v[i] << kBits; });
}
template <int kByte>
inline U32x16 byte_of(U32x16 a) {
  return each_u32([&](int i) { return (a.v[i] >> (8 * kByte)) & 0xff; });
}
inline U32x16 look_up(const uint8_t* table, U32x16 a) {
  return each_u32([&](int i) {
    uint32_t entries = 0;
    for (int b = 0; b < 32; b += 8) entries |= uint32_t{table[(a.v[i] >> b) & 15]} << b;
    return entries;
  });
}
inline F32x16 to_f32(U32x16 a) {
  return each_lane([&](int i) { return static_cast<float>(a.v[i]); });
}
inline uint16_t load_u16(const std::byte* p) {
  uint16_t x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}
inline F32x16 load_f16(const std::byte* p) {
  return each_lane([&](int i) { return half_to_float(load_u16(p + 2 * i)); });
}
inline F32x16 load_bf16(const std::byte* p) {
  return each_lane([&](int i) {
    const uint32_t bits = static_cast<uint32_t>(load_u16(p + 2 * i)) << 16;
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
  });
}
inline F32x16 load_i8(const std::byte* p) {
  return each_lane([&](int i) { return static_cast<float>(static_cast<int8_t>(p[i])); });
}
template <bool kHigh>
inline F32x16 load_u4(const std::byte* p) {
  return each_lane([&](int i) {
    const uint32_t byte = static_cast<uint8_t>(p[i]);
    return static_cast<float>(kHigh ? byte >> 4 : byte & 15);
  });
}

#endif

}  // namespace prefold::KERNEL_ISA
