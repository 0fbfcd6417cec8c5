// Sums of products of signed with unsigned bytes, sixteen columns at once, where either side may be
// the one that all columns share: what attention needs beside simd_dot.h. All sums are exact.
#pragma once

#include "kernels/cpu/simd_dot.h"

namespace prefold::KERNEL_ISA {

// Quads of bytes in the form that add_dot reads: sixteen columns of them, read once for all rows,
// or one that all columns share.
template <bool kSigned>
struct ColumnQuads;
template <bool kSigned>
struct SharedQuad;

inline int32_t load_quad(const void* four_bytes) {
  int32_t x;
  std::memcpy(&x, four_bytes, sizeof(x));
  return x;
}

#if defined(__AVX512VNNI__)

template <bool kSigned>
struct ColumnQuads {
  __m512i bytes;
  explicit ColumnQuads(U32x16 quads) : bytes(quads.v) {}
};
template <bool kSigned>
struct SharedQuad {
  __m512i bytes;
  explicit SharedQuad(const void* p) : bytes(_mm512_set1_epi32(load_quad(p))) {}
};
// GCC would keep a copy of every sum beside it, for which there are too few registers.
inline void keep_in_place(I32x16& sum) { asm("" : "+v"(sum.v)); }
// sum + the dot product of each column.
inline I32x16 add_dot(I32x16 sum, const SharedQuad<true>& x, const ColumnQuads<false>& w) {
  sum.v = _mm512_dpbusd_epi32(sum.v, w.bytes, x.bytes);
  keep_in_place(sum);
  return sum;
}
inline I32x16 add_dot(I32x16 sum, const SharedQuad<false>& x, const ColumnQuads<true>& w) {
  sum.v = _mm512_dpbusd_epi32(sum.v, x.bytes, w.bytes);
  keep_in_place(sum);
  return sum;
}

#elif defined(__AVXVNNI__)

template <bool kSigned>
struct ColumnQuads {
  __m256i lo, hi;
  explicit ColumnQuads(U32x16 quads) : lo(quads.lo), hi(quads.hi) {}
};
template <bool kSigned>
struct SharedQuad {
  __m256i bytes;
  explicit SharedQuad(const void* p) : bytes(_mm256_set1_epi32(load_quad(p))) {}
};
inline I32x16 add_dot(I32x16 sum, const SharedQuad<true>& x, const ColumnQuads<false>& w) {
  return {_mm256_dpbusd_avx_epi32(sum.lo, w.lo, x.bytes),
          _mm256_dpbusd_avx_epi32(sum.hi, w.hi, x.bytes)};
}
inline I32x16 add_dot(I32x16 sum, const SharedQuad<false>& x, const ColumnQuads<true>& w) {
  return {_mm256_dpbusd_avx_epi32(sum.lo, x.bytes, w.lo),
          _mm256_dpbusd_avx_epi32(sum.hi, x.bytes, w.hi)};
}

#elif defined(__AVX2__)

// vpmaddubsw saturates, as bytes have up to 8 bits here: even and odd ones are widened to 16 bits.
#if defined(__AVX512F__)
inline Bytes madd_i16(Bytes a, Bytes b) { return _mm512_madd_epi16(a, b); }
inline Bytes upper_bytes(Bytes a) { return _mm512_slli_epi16(a, 8); }
inline Bytes broadcast_bytes(int32_t x) { return _mm512_set1_epi32(x); }
template <bool kSigned>
inline Bytes widen_upper(Bytes a) {
  return kSigned ? _mm512_srai_epi16(a, 8) : _mm512_srli_epi16(a, 8);
}
#else
inline Bytes madd_i16(Bytes a, Bytes b) { return _mm256_madd_epi16(a, b); }
inline Bytes upper_bytes(Bytes a) { return _mm256_slli_epi16(a, 8); }
inline Bytes broadcast_bytes(int32_t x) { return _mm256_set1_epi32(x); }
template <bool kSigned>
inline Bytes widen_upper(Bytes a) {
  return kSigned ? _mm256_srai_epi16(a, 8) : _mm256_srli_epi16(a, 8);
}
#endif

template <bool kSigned>
struct WideBytes {
  Bytes even, odd;
  explicit WideBytes(Bytes a)
      : even(widen_upper<kSigned>(upper_bytes(a))), odd(widen_upper<kSigned>(a)) {}
};
template <bool kSigned>
struct SharedQuad : WideBytes<kSigned> {
  explicit SharedQuad(const void* p) : WideBytes<kSigned>(broadcast_bytes(load_quad(p))) {}
};
template <bool kSigned>
inline Bytes add_dot(Bytes sum, const WideBytes<kSigned>& x, const WideBytes<!kSigned>& w) {
  return add_i32(add_i32(sum, madd_i16(w.even, x.even)), madd_i16(w.odd, x.odd));
}

#if defined(__AVX512F__)
template <bool kSigned>
struct ColumnQuads {
  WideBytes<kSigned> w;
  explicit ColumnQuads(U32x16 quads) : w(quads.v) {}
};
template <bool kSigned>
inline I32x16 add_dot(I32x16 sum, const SharedQuad<kSigned>& x, const ColumnQuads<!kSigned>& w) {
  return {add_dot<kSigned>(sum.v, x, w.w)};
}
#else
template <bool kSigned>
struct ColumnQuads {
  WideBytes<kSigned> lo, hi;
  explicit ColumnQuads(U32x16 quads) : lo(quads.lo), hi(quads.hi) {}
};
template <bool kSigned>
inline I32x16 add_dot(I32x16 sum, const SharedQuad<kSigned>& x, const ColumnQuads<!kSigned>& w) {
  return {add_dot<kSigned>(sum.lo, x, w.lo), add_dot<kSigned>(sum.hi, x, w.hi)};
}
#endif

#else

template <bool kSigned>
inline int32_t byte_value(uint32_t quad, int b) {
  const uint32_t bits = quad >> (8 * b) & 0xff;
  return kSigned ? int32_t{static_cast<int8_t>(bits)} : static_cast<int32_t>(bits);
}
template <bool kSigned>
struct ColumnQuads {
  U32x16 quads;
  explicit ColumnQuads(U32x16 q) : quads(q) {}
};
template <bool kSigned>
struct SharedQuad {
  uint32_t quad;
  explicit SharedQuad(const void* p) : quad(static_cast<uint32_t>(load_quad(p))) {}
};
template <bool kSigned>
inline I32x16 add_dot(I32x16 sum, const SharedQuad<kSigned>& x, const ColumnQuads<!kSigned>& w) {
  for (int i = 0; i < kLanes; ++i) {
    for (int b = 0; b < 4; ++b) {
      sum.v[i] += byte_value<!kSigned>(w.quads.v[i], b) * byte_value<kSigned>(x.quad, b);
    }
  }
  return sum;
}

#endif

// Stores the lowest byte of each lane's bits, 32 bytes in all.
#if defined(__AVX512F__)
inline void store_low_bytes(uint8_t* p, F32x16 first, F32x16 last) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm512_cvtepi32_epi8(_mm512_castps_si512(first.v)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16),
                   _mm512_cvtepi32_epi8(_mm512_castps_si512(last.v)));
}
#elif defined(__AVX2__)
inline __m256i low_bytes(__m256 a) {
  return _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0xff));
}
inline void store_low_bytes(uint8_t* p, F32x16 first, F32x16 last) {
  const __m256i words[2] = {_mm256_packs_epi32(low_bytes(first.lo), low_bytes(first.hi)),
                            _mm256_packs_epi32(low_bytes(last.lo), low_bytes(last.hi))};
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words[0], words[1]),
                                                    _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bytes);
}
#else
inline void store_low_bytes(uint8_t* p, F32x16 first, F32x16 last) {
  for (int i = 0; i < kLanes; ++i) {
    uint32_t bits[2];
    std::memcpy(&bits[0], &first.v[i], sizeof(uint32_t));
    std::memcpy(&bits[1], &last.v[i], sizeof(uint32_t));
    p[i] = static_cast<uint8_t>(bits[0]);
    p[kLanes + i] = static_cast<uint8_t>(bits[1]);
  }
}
#endif

}  // namespace prefold::KERNEL_ISA
