// Sixteen f32 lanes, the one vector type of every CPU kernel: one register on AVX-512, two on AVX2,
// an array in the scalar build. Included once per instruction set inside namespace
// prefold::KERNEL_ISA, so that all three see the same source.
//
// Each operation is exact or correctly rounded and fma is fused on every path, so a kernel written
// with it gives the same bits on every instruction set (invariant I6).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef KERNEL_ISA
#error "define KERNEL_ISA (scalar, avx2 or avx512) before including this file"
#endif

namespace prefold::KERNEL_ISA {

inline constexpr int kLanes = 16;

#if defined(__AVX512F__)

struct F32x16 {
  __m512 v;
};
inline F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
inline F32x16 broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// a > b ? a : b in each lane (b where either is NaN).
inline F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
// a < b ? x : y in each lane.
inline F32x16 select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
// a * 2^n for integral n in [-126, 127].
inline F32x16 scale_by_power_of_2(F32x16 a, F32x16 n) {
  const __m512i bits =
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23);
  return {_mm512_mul_ps(a.v, _mm512_castsi512_ps(bits))};
}
// a * 2^n for t = 1.5 * 2^23 + n; a and the result must be normal.
inline F32x16 add_exponent(F32x16 a, F32x16 t) {
  const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), n))};
}
// condition ? x : y, without a branch.
inline F32x16 choose(bool condition, F32x16 x, F32x16 y) {
  return {_mm512_mask_blend_ps(static_cast<__mmask16>(-static_cast<int>(condition)), y.v, x.v)};
}
struct F32x8 {
  __m256 v;
};
inline F32x8 low_half(F32x16 a) { return {_mm512_castps512_ps256(a.v)}; }
inline F32x8 high_half(F32x16 a) { return {_mm512_extractf32x8_ps(a.v, 1)}; }

#elif defined(__AVX2__)

struct F32x16 {
  __m256 lo, hi;
};
inline F32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, F32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline F32x16 broadcast(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline F32x16 operator+(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline F32x16 operator-(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline F32x16 operator*(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline F32x16 operator/(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline F32x16 max(F32x16 a, F32x16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline F32x16 min(F32x16 a, F32x16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
inline F32x16 select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  return {_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
inline __m256 power_of_2(__m256 n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F32x16 scale_by_power_of_2(F32x16 a, F32x16 n) {
  return {_mm256_mul_ps(a.lo, power_of_2(n.lo)), _mm256_mul_ps(a.hi, power_of_2(n.hi))};
}
inline __m256 add_exponent(__m256 a, __m256 t) {
  const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), n));
}
inline F32x16 add_exponent(F32x16 a, F32x16 t) {
  return {add_exponent(a.lo, t.lo), add_exponent(a.hi, t.hi)};
}
inline F32x16 choose(bool condition, F32x16 x, F32x16 y) {
  const __m256 all = _mm256_castsi256_ps(_mm256_set1_epi32(-static_cast<int>(condition)));
  return {_mm256_blendv_ps(y.lo, x.lo, all), _mm256_blendv_ps(y.hi, x.hi, all)};
}
struct F32x8 {
  __m256 v;
};
inline F32x8 low_half(F32x16 a) { return {a.lo}; }
inline F32x8 high_half(F32x16 a) { return {a.hi}; }

#else

struct F32x16 {
  float v[kLanes];
};
template <typename Fn>
inline F32x16 each_lane(Fn fn) {
  F32x16 r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = fn(i);
  return r;
}
inline F32x16 load(const float* p) {
  return each_lane([&](int i) { return p[i]; });
}
inline void store(float* p, F32x16 a) { std::memcpy(p, a.v, sizeof(a.v)); }
inline F32x16 broadcast(float x) {
  return each_lane([&](int) { return x; });
}
inline F32x16 operator+(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] + b.v[i]; });
}
inline F32x16 operator-(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] - b.v[i]; });
}
inline F32x16 operator*(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] * b.v[i]; });
}
inline F32x16 operator/(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] / b.v[i]; });
}
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return each_lane([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
inline F32x16 max(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F32x16 min(F32x16 a, F32x16 b) {
  return each_lane([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F32x16 select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  return each_lane([&](int i) { return a.v[i] < b.v[i] ? x.v[i] : y.v[i]; });
}
inline F32x16 scale_by_power_of_2(F32x16 a, F32x16 n) {
  return each_lane([&](int i) {
    const int32_t bits = (static_cast<int32_t>(n.v[i]) + 127) * (1 << 23);
    float power;
    std::memcpy(&power, &bits, sizeof(power));
    return a.v[i] * power;
  });
}
inline F32x16 add_exponent(F32x16 a, F32x16 t) {
  return each_lane([&](int i) {
    uint32_t bits, n;
    std::memcpy(&bits, &a.v[i], sizeof(bits));
    std::memcpy(&n, &t.v[i], sizeof(n));
    bits += n << 23;
    float result;
    std::memcpy(&result, &bits, sizeof(result));
    return result;
  });
}
inline F32x16 choose(bool condition, F32x16 x, F32x16 y) { return condition ? x : y; }

#endif

// Reductions over the lanes, always by the same tree: i with i + 8, i + 4, i + 2, i + 1.
#if defined(__AVX2__)
inline float sum_lanes(F32x16 a) {
  const __m256 s8 = _mm256_add_ps(low_half(a).v, high_half(a).v);
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}
inline float max_lanes(F32x16 a) {
  const __m256 s8 = _mm256_max_ps(low_half(a).v, high_half(a).v);
  const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_max_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}
#else
inline float sum_lanes(F32x16 a) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  }
  return a.v[0];
}
inline float max_lanes(F32x16 a) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  }
  return a.v[0];
}
#endif

// e^x within 2 ulp: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r, scaled by 2^n.
// Below -87.3 the result is 0 (no denormals); above 88.3 it is e^88.3; NaN is not allowed.
inline F32x16 exp(F32x16 x) {
  const F32x16 lowest = broadcast(-87.3f);
  const F32x16 clamped = min(max(x, lowest), broadcast(88.3f));
  const F32x16 magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const F32x16 n = fma(clamped, broadcast(1.44269504088896341f), magic) - magic;
  F32x16 r = fma(n, broadcast(-0.693359375f), clamped);  // ln 2, its high part first
  r = fma(n, broadcast(2.12194440e-4f), r);
  F32x16 p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, r * r, r) + broadcast(1.0f);
  return select_less(x, lowest, broadcast(0.0f), scale_by_power_of_2(p, n));
}

// e^x for x <= 0, for weights relative to a largest one: within 1.3e-7 of the exact value, 1 at
// 0; at least e^-87, also for NaN, so that no result is denormal. 2^n is taken out as in exp; the
// polynomial is that of degree 5 with the least relative error (9.2e-8) that is 1 at 0.
inline F32x16 exp_nonpositive(F32x16 x) {
  const F32x16 log2_e = broadcast(1.44269504088896341f);
  const F32x16 magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const F32x16 clamped = max(x, broadcast(-87.0f));
  const F32x16 rounded = fma(clamped, log2_e, magic);
  const F32x16 r = fma(clamped, log2_e, magic - rounded);
  F32x16 p = broadcast(1.3264727e-3f);
  p = fma(p, r, broadcast(9.6715130e-3f));
  p = fma(p, r, broadcast(5.5507336e-2f));
  p = fma(p, r, broadcast(2.4022242e-1f));
  p = fma(p, r, broadcast(6.9314700e-1f));
  p = fma(p, r, broadcast(1.0f));
  return add_exponent(p, rounded);
}

// x P(x^2) / Q(x^2) with x held to [-limit, limit], the result to [-1, 1]; NaN stays NaN.
template <int kNumerator, int kDenominator>
inline F32x16 odd_rational(F32x16 x, float limit, const float (&p)[kNumerator],
                           const float (&q)[kDenominator]) {
  const F32x16 a = min(broadcast(limit), max(broadcast(-limit), x));
  const F32x16 square = a * a;
  F32x16 numerator = broadcast(p[kNumerator - 1]);
#pragma GCC unroll 8
  for (int i = kNumerator - 2; i >= 0; --i) numerator = fma(numerator, square, broadcast(p[i]));
  F32x16 denominator = broadcast(q[kDenominator - 1]);
#pragma GCC unroll 8
  for (int i = kDenominator - 2; i >= 0; --i) {
    denominator = fma(denominator, square, broadcast(q[i]));
  }
  return min(broadcast(1.0f), max(broadcast(-1.0f), a * numerator / denominator));
}

// Within 3e-7 of tanh(x), relatively: the fraction of this degree with the least relative error
// (9e-10) on [-8.7, 8.7].
inline F32x16 tanh(F32x16 x) {
  constexpr float kP[] = {0.9999999991f,   0.13694806f,   3.887023784e-3f,
                          2.838718741e-5f, 3.1509987e-8f, -1.290258344e-11f};
  constexpr float kQ[] = {1.0f, 0.4702813846f, 2.731416643e-2f, 3.971679215e-4f, 1.31404723e-6f};
  return odd_rational(x, 8.7f, kP, kQ);
}

// Within 3e-7 of erf(x), relatively: the fraction of this degree with the least relative error
// (4e-8) on [-3.8, 3.8].
inline F32x16 erf(F32x16 x) {
  constexpr float kP[] = {1.128379127f,    0.1897397054f,    4.924963879e-2f, 3.299833502e-3f,
                          1.349153357e-4f, -1.999065385e-6f, 2.140336715e-8f};
  constexpr float kQ[] = {1.0f, 0.5014845766f, 0.1108143569f, 1.350979255e-2f, 8.673589946e-4f};
  return odd_rational(x, 3.8f, kP, kQ);
}

}  // namespace prefold::KERNEL_ISA
