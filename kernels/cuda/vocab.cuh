// Logits as the sampling kernels see them: order, weights, walks over a row, reductions of a block.
#pragma once

#include <cstdint>
#include <cstring>

namespace prefold::cuda {

__device__ constexpr uint32_t kAllLanes = 0xffffffffu;
__device__ constexpr int kMassBits = 40;  // masses are in units of 2^-40, as in engine/truncation.h

__device__ inline float lowest_logit() { return __int_as_float(0xff800000); }  // minus infinity

// Of a logit that is not NaN or minus infinity.
__device__ inline bool is_below_infinity(float x) { return x < __int_as_float(0x7f800000); }

// Tokens in the one order among them: the larger, the better. 28 bits of the id below 32 of the
// logit, whose order is kept by flipping bits; both zeros are one. Logits are finite.
__device__ constexpr int kRankIdBits = 28;
__device__ constexpr int kRankBits = 32 + kRankIdBits;
__device__ constexpr uint64_t kRankIdMask = (1u << kRankIdBits) - 1;

__device__ inline uint64_t rank_of(float logit, int32_t id) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  const uint32_t key = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(key) << kRankIdBits | (kRankIdMask - static_cast<uint32_t>(id));
}
__device__ inline float logit_of_rank(uint64_t rank) {
  const uint32_t key = static_cast<uint32_t>(rank >> kRankIdBits);
  return __uint_as_float(key >> 31 != 0 ? key & 0x7fffffffu : ~key);
}
__device__ inline int32_t id_of_rank(uint64_t rank) {
  return static_cast<int32_t>(kRankIdMask - (rank & kRankIdMask));
}

// 2^kExponent e^x for x <= 0, within 2 ulp and operation by operation as exp of kernels/cpu/simd.h;
// at least 2^kExponent e^-87.3, also for NaN.
template <int kExponent>
__device__ float scaled_exp(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = fmaxf(x, -87.3f);
  const float n = __fsub_rn(__fmaf_rn(clamped, 1.44269504088896341f, kMagic), kMagic);
  float r = __fmaf_rn(n, -0.693359375f, clamped);
  r = __fmaf_rn(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = __fmaf_rn(p, r, 1.3981999507e-3f);
  p = __fmaf_rn(p, r, 8.3334519073e-3f);
  p = __fmaf_rn(p, r, 4.1665795894e-2f);
  p = __fmaf_rn(p, r, 1.6666665459e-1f);
  p = __fmaf_rn(p, r, 5.0000001201e-1f);
  p = __fadd_rn(__fmaf_rn(p, __fmul_rn(r, r), r), 1.0f);
  return __fmul_rn(p, __int_as_float((static_cast<int>(n) + 127 + kExponent) << 23));
}

// Which tokens have weight, and how much: VocabWeights of kernels/cpu/vocab.h. Kept are logits
// above min_logit, or equal to it with an id below tie_end, and of them weights of min_weight and
// more.
struct Weights {
  float max_logit = 0.0f;
  float temperature = 1.0f;
  float inverse = 1.0f;     // 1 / temperature
  float min_weight = 0.0f;  // in units of 2^-40
  float min_logit = 0.0f;   // minus infinity: none is cut off
  int32_t tie_end = 0;
};

__device__ inline Weights weights_of(float max_logit, float temperature, float min_weight) {
  return {max_logit,          temperature,
          1.0f / temperature, __fmul_rn(min_weight, 0x1p40f),
          lowest_logit(),     0};
}

__device__ inline bool is_cut(const Weights& rule) { return rule.min_logit > lowest_logit(); }

__device__ inline bool is_kept(const Weights& rule, float logit, int32_t id) {
  return logit > rule.min_logit || (logit == rule.min_logit && id < rule.tie_end);
}

// The weight in units of 2^-40, without a look at min_logit; 0 where the logit is not finite.
__device__ inline uint64_t mass_of(const Weights& rule, float logit) {
  // (logit - max_logit) / temperature, rounded as a division is (Markstein): a remainder corrects
  // the product. Where that is not finite it is NaN: the weight is 0, as it should be.
  const float distance = __fsub_rn(logit, rule.max_logit);
  const float product = __fmul_rn(distance, rule.inverse);
  const float rest = __fmaf_rn(-product, rule.temperature, distance);
  const float weight = scaled_exp<kMassBits>(__fmaf_rn(rest, rule.inverse, product));
  return weight < rule.min_weight ? 0 : __float2ull_rz(weight);
}

// Logits id to id + 3, minus infinity where they are not below end. id: a multiple of 4; end: of
// the vocabulary.
__device__ inline float4 load_logits(const float* row, int32_t id, int32_t end) {
  if (id + 4 <= end) return *reinterpret_cast<const float4*>(row + id);
  float4 x{lowest_logit(), lowest_logit(), lowest_logit(), lowest_logit()};
  if (id < end) x.x = row[id];
  if (id + 1 < end) x.y = row[id + 1];
  if (id + 2 < end) x.z = row[id + 2];
  return x;
}

// Calls fn(logit, id) for four ids.
template <class Fn>
__device__ void for_four(float4 x, int32_t id, Fn fn) {
  fn(x.x, id);
  fn(x.y, id + 1);
  fn(x.z, id + 2);
  fn(x.w, id + 3);
}

// Calls fn(logit, id) for all ids in [begin, end), lanes side by side; `lane` of n_lanes is this
// thread's. begin: a multiple of 4. Two loads are under way at a time. Ids past `end` come too,
// with minus infinity; logits come as they are, also NaN and infinity.
template <class Fn>
__device__ void for_each_logit(const float* row, int32_t begin, int32_t end, int32_t lane,
                               int32_t n_lanes, Fn fn) {
  int32_t id = begin + 4 * lane;
  const int32_t step = 4 * n_lanes;
  for (; id + step < end; id += 2 * step) {
    const float4 first = load_logits(row, id, end);
    const float4 second = load_logits(row, id + step, end);
    for_four(first, id, fn);
    for_four(second, id + step, fn);
  }
  if (id < end) for_four(load_logits(row, id, end), id, fn);
}

// One load of 16 bytes.
template <class T>
__device__ T load16(const T* at) {
  static_assert(sizeof(T) == sizeof(uint4));
  const uint4 words = *reinterpret_cast<const uint4*>(at);
  T value;
  memcpy(&value, &words, sizeof(T));
  return value;
}

template <class T>
__device__ void store16(T* at, const T& value) {
  static_assert(sizeof(T) == sizeof(uint4));
  uint4 words;
  memcpy(&words, &value, sizeof(T));
  *reinterpret_cast<uint4*>(at) = words;
}

__device__ inline uint64_t warp_max(uint64_t x) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const uint64_t other = __shfl_xor_sync(kAllLanes, x, lanes);
    x = other > x ? other : x;
  }
  return x;
}

template <class T>
__device__ T warp_sum(T x) {
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(kAllLanes, x, lanes);
  return x;
}

// Inclusive.
__device__ inline uint64_t warp_prefix_sum(uint64_t x) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  for (int distance = 1; distance < 32; distance *= 2) {
    const uint64_t other = __shfl_up_sync(kAllLanes, x, distance);
    if (lane >= distance) x += other;
  }
  return x;
}

}  // namespace prefold::cuda
