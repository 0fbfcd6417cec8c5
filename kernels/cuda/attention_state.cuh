// The arithmetic of attention states that the attention kernels and the merge kernel share, so that
// a merge in registers and one through memory give the same bits.
#pragma once

#include "kernels/cuda/tensor_core.cuh"

namespace prefold::cuda {

inline constexpr float kNoMax = -__builtin_huge_valf();  // of a state that has seen no position

// 2^x: the special function unit's for the tensor-core kernels, the library's for f32.
template <typename T>
__device__ __forceinline__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
template <>
__device__ __forceinline__ float power_of_two<float>(float x) {
  return exp2f(x);
}

// How a later state goes into the total before it. Maxima are in powers of two.
struct MergeWeights {
  float max;
  float total;
  float later;
};

template <typename T>
__device__ __forceinline__ MergeWeights merge_weights(float total_max, float later_max) {
  if (later_max == kNoMax) return {total_max, 1.0f, 0.0f};
  const float max = fmaxf(total_max, later_max);
  return {max, power_of_two<T>(total_max - max), power_of_two<T>(later_max - max)};
}

// One element of acc, or the sum. A weight of 0 leaves the other side as it is, to the bit.
__device__ __forceinline__ float merge_value(const MergeWeights& weights, float total,
                                             float later) {
  const float both = __fmaf_rn(total, weights.total, __fmul_rn(later, weights.later));
  return weights.later == 0.0f ? total : weights.total == 0.0f ? later : both;
}

// What acc is multiplied with at the end. A row that saw nothing becomes zeros.
__device__ __forceinline__ float final_factor(float sum) {
  return sum > 0.0f ? __fdiv_rn(1.0f, sum) : 0.0f;
}

// tanh by way of 2^x: an absolute error of about 1e-7, which is what a soft-cap needs.
template <typename T>
__device__ __forceinline__ float soft_tanh(float x) {
  const float power = power_of_two<T>(fminf(x * 2.885390082f, 126.0f));  // e^(2x)
  return 1.0f - __fdividef(2.0f, power + 1.0f);
}

}  // namespace prefold::cuda
