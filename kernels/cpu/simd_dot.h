// Sums of products of weight bytes with input bytes, sixteen columns at once: what integer matrix
// products need beside simd_int.h. All sums are exact.
#pragma once

#include "kernels/cpu/simd_int.h"

namespace prefold::KERNEL_ISA {

// Sixteen int32 lanes; the quads of simd_int.h hold four bytes a lane.
#if defined(__AVX512F__)

struct I32x16 {
  __m512i v;
};
inline I32x16 broadcast_i32(int32_t x) { return {_mm512_set1_epi32(x)}; }
template <int kBits>
inline I32x16 shift_left(I32x16 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
inline F32x16 to_f32(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline void store_u32(std::byte* p, U32x16 a) { _mm512_storeu_si512(p, a.v); }

#elif defined(__AVX2__)

struct I32x16 {
  __m256i lo, hi;
};
inline I32x16 broadcast_i32(int32_t x) {
  const __m256i v = _mm256_set1_epi32(x);
  return {v, v};
}
template <int kBits>
inline I32x16 shift_left(I32x16 a) {
  return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
}
inline F32x16 to_f32(I32x16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
inline void store_u32(std::byte* p, U32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), a.hi);
}

#else

struct I32x16 {
  int32_t v[kLanes];
};
inline I32x16 broadcast_i32(int32_t x) {
  I32x16 r;
  for (int32_t& lane : r.v) lane = x;
  return r;
}
template <int kBits>
inline I32x16 shift_left(I32x16 a) {
  for (int32_t& lane : a.v) lane *= 1 << kBits;
  return a;
}
inline F32x16 to_f32(I32x16 a) {
  return each_lane([&](int i) { return static_cast<float>(a.v[i]); });
}
inline void store_u32(std::byte* p, U32x16 a) { std::memcpy(p, a.v, sizeof(a.v)); }

#endif

// Of the first 16 and the last 16 of 32 bytes.
struct I8Sums {
  int32_t first, last;
};
// Stores 32 values, within [-127, 127], as the nearest integers, half to even.
#if defined(__AVX2__)
inline I8Sums store_rounded_i8(int8_t* p, F32x16 first, F32x16 last) {
#if defined(__AVX512F__)
  const __m256i bytes = _mm256_set_m128i(_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(last.v)),
                                         _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(first.v)));
#else
  // Packing works in halves of 128 bits; the permutation puts the fours of bytes in order.
  const __m256i words[2] = {
      _mm256_packs_epi32(_mm256_cvtps_epi32(first.lo), _mm256_cvtps_epi32(first.hi)),
      _mm256_packs_epi32(_mm256_cvtps_epi32(last.lo), _mm256_cvtps_epi32(last.hi))};
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words[0], words[1]),
                                                    _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#endif
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bytes);
  const __m256i sums = _mm256_sad_epu8(_mm256_xor_si256(bytes, _mm256_set1_epi8(-128)),
                                       _mm256_setzero_si256());  // of eight bytes + 128 each
  const __m256i both = _mm256_add_epi64(sums, _mm256_unpackhi_epi64(sums, sums));
  constexpr int32_t kAdded = 16 * 128;
  return {_mm_cvtsi128_si32(_mm256_castsi256_si128(both)) - kAdded,
          _mm_cvtsi128_si32(_mm256_extracti128_si256(both, 1)) - kAdded};
}
#else
inline I8Sums store_rounded_i8(int8_t* p, F32x16 first, F32x16 last) {
  I8Sums sums{0, 0};
  for (int i = 0; i < kLanes; ++i) {
    sums.first += p[i] = static_cast<int8_t>(std::nearbyint(first.v[i]));
    sums.last += p[kLanes + i] = static_cast<int8_t>(std::nearbyint(last.v[i]));
  }
  return sums;
}
#endif

inline I32x16 broadcast_i32(const int8_t* four_bytes) {
  int32_t x;
  std::memcpy(&x, four_bytes, sizeof(x));
  return broadcast_i32(x);
}

// A group's sum of products: DotSum<kBits, kQuads> of kQuads quads of weights below 2^kBits,
// times the broadcast inputs. add() takes the quads by their index, in order; total() adds a
// correction: for types whose quants have an offset, - 2^(kBits - 1) times the sum of the inputs,
// but nothing where kOffsetTakenOff.
// DotWeights is a quad in the form that add() reads, made once for all rows of a tile, and
// StoredQuad one that lies in memory, made once for all rows: where kHasNegatives, the correction
// is what add_negatives() sums over the group.
template <int kBits>
struct DotWeights;

#if defined(__AVX512VNNI__)

template <int kBits>
struct DotWeights {
  static constexpr bool kOffsetTakenOff = false;
  __m512i bytes;
  explicit DotWeights(U32x16 quad) : bytes(quad.v) {}
};
template <int kBits, int kQuads>
struct DotSum {
  __m512i sum;
  template <int kQuad>
  inline void add(const DotWeights<kBits>& w, I32x16 x) {
    sum = _mm512_dpbusd_epi32(kQuad == 0 ? _mm512_setzero_si512() : sum, w.bytes, x.v);
  }
  inline I32x16 total() const { return {sum}; }
  inline I32x16 total(I32x16 correction) const { return {_mm512_add_epi32(sum, correction.v)}; }
};

#elif defined(__AVXVNNI__)

template <int kBits>
struct DotWeights {
  static constexpr bool kOffsetTakenOff = false;
  __m256i lo, hi;
  explicit DotWeights(U32x16 quad) : lo(quad.lo), hi(quad.hi) {}
};
template <int kBits, int kQuads>
struct DotSum {
  __m256i lo, hi;
  template <int kQuad>
  inline void add(const DotWeights<kBits>& w, I32x16 x) {
    lo = _mm256_dpbusd_avx_epi32(kQuad == 0 ? _mm256_setzero_si256() : lo, w.lo, x.lo);
    hi = _mm256_dpbusd_avx_epi32(kQuad == 0 ? _mm256_setzero_si256() : hi, w.hi, x.hi);
  }
  inline I32x16 total() const { return {lo, hi}; }
  inline I32x16 total(I32x16 correction) const {
    return {_mm256_add_epi32(lo, correction.lo), _mm256_add_epi32(hi, correction.hi)};
  }
};

#elif defined(__AVX2__)

// One register of the sums of simd_dot.h where products come in pairs summed to 16 bits, which
// saturate: two products of up to 6 bits fit, and the sums of so many quads:
constexpr int narrow_quads(int bits) { return bits == 6 ? 2 : bits == 5 ? 4 : 8; }

#if defined(__AVX512F__)
using Bytes = __m512i;
inline Bytes pair_sums(Bytes w, Bytes x) { return _mm512_maddubs_epi16(w, x); }
inline Bytes add_i16(Bytes a, Bytes b) { return _mm512_add_epi16(a, b); }
inline Bytes add_i32(Bytes a, Bytes b) { return _mm512_add_epi32(a, b); }
inline Bytes widen_pairs(Bytes a) { return _mm512_madd_epi16(a, _mm512_set1_epi16(1)); }
#else
using Bytes = __m256i;
inline Bytes pair_sums(Bytes w, Bytes x) { return _mm256_maddubs_epi16(w, x); }
inline Bytes add_i16(Bytes a, Bytes b) { return _mm256_add_epi16(a, b); }
inline Bytes add_i32(Bytes a, Bytes b) { return _mm256_add_epi32(a, b); }
inline Bytes widen_pairs(Bytes a) { return _mm256_madd_epi16(a, _mm256_set1_epi16(1)); }
#endif

// GCC would add in another order, for which there are too few registers.
inline void keep_order(Bytes& sum) {
#if defined(__AVX512F__)
  asm("" : "+v"(sum));
#else
  asm("" : "+x"(sum));
#endif
}

template <int kBits>
struct WeightBytes {
  static constexpr bool kOffsetTakenOff = false;
  Bytes bytes;
  inline void set(Bytes quad) { bytes = quad; }
  inline Bytes times(Bytes x) const { return pair_sums(bytes, x); }
};
// 8 bits: the magnitude of w = quant - 128, at most 128, times x with the sign of w. A pair is at
// most 2 * 128 * 127 and fits.
template <>
struct WeightBytes<8> {
  static constexpr bool kOffsetTakenOff = true;
  Bytes magnitude;
#if defined(__AVX512F__)
  __mmask64 negative;
  inline void set(Bytes quad) {
    negative = ~_mm512_movepi8_mask(quad);
    magnitude = _mm512_abs_epi8(_mm512_xor_si512(quad, _mm512_set1_epi8(-128)));
  }
  inline Bytes times(Bytes x) const {
    return pair_sums(magnitude, _mm512_mask_sub_epi8(x, negative, _mm512_setzero_si512(), x));
  }
#else
  Bytes w;
  inline void set(Bytes quad) {
    w = _mm256_xor_si256(quad, _mm256_set1_epi8(-128));
    magnitude = _mm256_abs_epi8(w);
  }
  inline Bytes times(Bytes x) const { return pair_sums(magnitude, _mm256_sign_epi8(x, w)); }
#endif
};

template <int kBits, int kQuads>
struct PairedSum {
  Bytes narrow, wide;
  template <int kQuad, typename Weights>
  inline void add(const Weights& w, Bytes x) {
    constexpr int kNarrowQuads = kBits == 8 ? 1 : narrow_quads(kBits);
    const Bytes products = w.times(x);
    narrow = kQuad % kNarrowQuads == 0 ? products : add_i16(narrow, products);
    keep_order(narrow);
    if constexpr ((kQuad + 1) % kNarrowQuads == 0 || kQuad + 1 == kQuads) {
      const Bytes widened = widen_pairs(narrow);
      wide = kQuad < kNarrowQuads ? widened : add_i32(wide, widened);
      keep_order(wide);
    }
  }
  inline Bytes total(Bytes correction) const { return add_i32(wide, correction); }
};

#if defined(__AVX512F__)
template <int kBits>
struct DotWeights {
  static constexpr bool kOffsetTakenOff = WeightBytes<kBits>::kOffsetTakenOff;
  WeightBytes<kBits> w;
  explicit DotWeights(U32x16 quad) { w.set(quad.v); }
};
template <int kBits, int kQuads>
struct DotSum {
  PairedSum<kBits, kQuads> sum;
  template <int kQuad>
  inline void add(const DotWeights<kBits>& w, I32x16 x) {
    sum.template add<kQuad>(w.w, x.v);
  }
  inline I32x16 total() const { return {sum.wide}; }
  inline I32x16 total(I32x16 correction) const { return {sum.total(correction.v)}; }
};
#else
template <int kBits>
struct DotWeights {
  static constexpr bool kOffsetTakenOff = WeightBytes<kBits>::kOffsetTakenOff;
  WeightBytes<kBits> lo, hi;
  explicit DotWeights(U32x16 quad) {
    lo.set(quad.lo);
    hi.set(quad.hi);
  }
};
template <int kBits, int kQuads>
struct DotSum {
  PairedSum<kBits, kQuads> lo, hi;
  template <int kQuad, typename Weights>
  inline void add(const Weights& w, I32x16 x) {
    lo.template add<kQuad>(w.lo, x.lo);
    hi.template add<kQuad>(w.hi, x.hi);
  }
  inline I32x16 total() const { return {lo.wide, hi.wide}; }
  inline I32x16 total(I32x16 correction) const {
    return {lo.total(correction.lo), hi.total(correction.hi)};
  }
};
#endif

#else

template <int kBits>
struct DotWeights {
  static constexpr bool kOffsetTakenOff = false;
  U32x16 quad;
  explicit DotWeights(U32x16 q) : quad(q) {}
};
template <int kBits, int kQuads>
struct DotSum {
  I32x16 sum;
  template <int kQuad>
  inline void add(const DotWeights<kBits>& w, I32x16 x) {
    if (kQuad == 0) sum = broadcast_i32(int32_t{0});
    for (int i = 0; i < kLanes; ++i) {
      const auto bytes = static_cast<uint32_t>(x.v[i]);
      for (int b = 0; b < 32; b += 8) {
        sum.v[i] += static_cast<int32_t>((w.quad.v[i] >> b) & 0xff) *
                    static_cast<int8_t>((bytes >> b) & 0xff);
      }
    }
  }
  inline I32x16 total() const { return sum; }
  inline I32x16 total(I32x16 correction) const {
    I32x16 r = sum;
    for (int i = 0; i < kLanes; ++i) r.v[i] += correction.v[i];
    return r;
  }
};

#endif

template <int kBits>
struct StoredQuad {
  static constexpr int32_t kBytes = 64;
  static constexpr bool kHasNegatives = false;
  static inline void store(std::byte* p, U32x16 quad) { store_u32(p, quad); }
  static inline DotWeights<kBits> load(const std::byte* p) {
    return DotWeights<kBits>(load_u32(p));
  }
};

#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(__AVXVNNI__)
// 8 bits: vpsignb competes with the products for execution units, exclusive or does not. The
// complement of x is - x - 1, so that a product with a negative weight is short of the weight's
// magnitude. A pair is at least - 2 * 128 * 128 and fits.
struct MaskedBytes {
  Bytes magnitude, mask;
  inline Bytes times(Bytes x) const { return pair_sums(magnitude, _mm256_xor_si256(x, mask)); }
};
struct MaskedWeights {
  MaskedBytes lo, hi;
};
template <>
struct StoredQuad<8> {
  static constexpr int32_t kBytes = 128;
  static constexpr bool kHasNegatives = true;

  static inline void store(std::byte* p, U32x16 quad) {
    const DotWeights<8> signed_weights(quad);
    store_u32(p, {signed_weights.lo.magnitude, signed_weights.hi.magnitude});
    const Bytes zero = _mm256_setzero_si256();
    store_u32(p + 64, {_mm256_cmpgt_epi8(zero, signed_weights.lo.w),
                       _mm256_cmpgt_epi8(zero, signed_weights.hi.w)});
  }
  static inline MaskedWeights load(const std::byte* p) {
    const U32x16 magnitude = load_u32(p), mask = load_u32(p + 64);
    return {{magnitude.lo, mask.lo}, {magnitude.hi, mask.hi}};
  }
  // sums + the magnitudes of each column's negative weights.
  static inline U32x16 add_negatives(U32x16 sums, const std::byte* quad) {
    const MaskedWeights w = load(quad);
    const Bytes minus_one = _mm256_set1_epi16(-1);
    const auto add = [&](Bytes sum, const MaskedBytes& bytes) {
      return add_i32(sum, _mm256_madd_epi16(pair_sums(bytes.magnitude, bytes.mask), minus_one));
    };
    return {add(sums.lo, w.lo), add(sums.hi, w.hi)};
  }
};
#endif

}  // namespace prefold::KERNEL_ISA
