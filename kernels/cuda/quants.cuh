// From quants to values, in registers (weight_format.h has the layout). A lane's share of a unit is
// 8 quants of one output: pairs of k [2 s + p], s the k16 step, p the register of its B operand.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/tensor_core.cuh"
#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

// (a & b) | c in one instruction.
__device__ __forceinline__ uint32_t and_or(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;\n" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}

__device__ __forceinline__ __half2 as_half2(uint32_t bits) {
  return *reinterpret_cast<const __half2*>(&bits);
}
__device__ __forceinline__ uint32_t bits_of(__half2 pair) {
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// Scale in the low half, minimum or zero in the high one (kW8: none).
__device__ __forceinline__ float scale_of(uint32_t scales) {
  return __half2float(__low2half(as_half2(scales)));
}

// Of kW4: d * (q - zero) + minimum, one of them 0.
struct Offsets {
  uint32_t zero;
  uint32_t minimum;  // f16 in both halves
};
__device__ __forceinline__ Offsets offsets_of(uint32_t scales) {
  const bool has_zero = (scales & 0x7c000000) == 0x7c000000;
  return {has_zero ? scales >> 16 & 31 : 0, has_zero ? 0 : __byte_perm(scales, 0, 0x3232)};
}

// The quants as f32, pair by pair, exactly. An unsigned byte u in the low bits of the f32 2^23 is
// 2^23 + u.
__device__ __forceinline__ float byte_to_float(uint32_t word, int byte, float offset) {
  return __uint_as_float(__byte_perm(word, 0x4b000000, 0x7440 + byte)) - (8388608.0f + offset);
}

template <WeightFormat kFormat>
struct LaneQuants;

template <>
struct LaneQuants<WeightFormat::kW4> {
  uint32_t word;

  __device__ __forceinline__ void floats(uint32_t scales, float (&out)[8]) const {
    const Offsets offsets = offsets_of(scales);
    const float scale = scale_of(scales), zero = static_cast<float>(offsets.zero);
    const float minimum = __half2float(__low2half(as_half2(offsets.minimum)));
    const uint32_t even_pairs = word & 0x0f0f0f0f, odd_pairs = word >> 4 & 0x0f0f0f0f;
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      const uint32_t bytes = pair % 2 == 0 ? even_pairs : odd_pairs;
#pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
        const float quant = byte_to_float(bytes, pair / 2 + 2 * odd, zero);
        out[2 * pair + odd] = __fmaf_rn(scale, quant, minimum);
      }
    }
  }

  // A quant q in the low bits of the f16 1024 is 1024 + q, four bits further up 1024 + 16 q; a zero
  // likewise in those of 1024 and 64.
  __device__ __forceinline__ void halves(uint32_t scales, uint32_t (&out)[4]) const {
    constexpr uint32_t k1024 = 0x64006400;
    const Offsets offsets = offsets_of(scales);
    const __half2 scale = as_half2(__byte_perm(scales, 0, 0x1010));
    const __half2 minimum = as_half2(offsets.minimum), sixteenth = as_half2(0x2c002c00);
    const __half2 zero_1024 = as_half2(k1024 + offsets.zero * 0x00010001);
    const __half2 minus_zero_64 = as_half2(0xd400d400 + offsets.zero * 0x00100010);
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const uint32_t shifted = word >> (8 * step);
      const __half2 low = __hsub2(as_half2(and_or(shifted, 0x000f000f, k1024)), zero_1024);
      const __half2 high =
          __hfma2(as_half2(and_or(shifted, 0x00f000f0, k1024)), sixteenth, minus_zero_64);
      out[2 * step] = bits_of(__hfma2(low, scale, minimum));
      out[2 * step + 1] = bits_of(__hfma2(high, scale, minimum));
    }
  }
};

template <>
struct LaneQuants<WeightFormat::kW8> {
  uint2 words;

  __device__ __forceinline__ void floats(uint32_t scales, float (&out)[8]) const {
    const float scale = scale_of(scales);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      out[i] = scale * byte_to_float(i < 4 ? words.x : words.y, i % 4, 128.0f);
    }
  }

  // A byte u in the low bits of the f16 1024 is 1024 + u.
  __device__ __forceinline__ void halves(uint32_t scales, uint32_t (&out)[4]) const {
    const __half2 scale = as_half2(__byte_perm(scales, 0, 0x1010));
    const __half2 offset = as_half2(0x64806480);  // 1024 + 128
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      const uint32_t word = pair < 2 ? words.x : words.y;
      const uint32_t raised = __byte_perm(word, 0x64646464, pair % 2 == 0 ? 0x4140 : 0x4342);
      out[pair] = bits_of(__hmul2(__hsub2(as_half2(raised), offset), scale));
    }
  }
};

// From global memory: `at` counts lanes' shares, or scales, from the first on.
template <WeightFormat kFormat>
__device__ __forceinline__ LaneQuants<kFormat> load_lane_quants(const DeviceMatrix& weight,
                                                                int64_t at) {
  LaneQuants<kFormat> quants;
  if constexpr (kFormat == WeightFormat::kW4) {
    quants.word = __ldg(static_cast<const uint32_t*>(weight.values) + at);
  } else {
    quants.words = __ldg(static_cast<const uint2*>(weight.values) + at);
  }
  return quants;
}

template <WeightFormat kFormat>
__device__ __forceinline__ uint32_t load_scales(const DeviceMatrix& weight, int64_t at) {
  if constexpr (kFormat == WeightFormat::kW4) {
    return __ldg(static_cast<const uint32_t*>(weight.scales) + at);
  } else {
    return __ldg(static_cast<const uint16_t*>(weight.scales) + at);
  }
}

// A lane's 8 weights of a unit as pairs of T, each rounded once.
template <class T, class Quants>
__device__ __forceinline__ void dequantize(const Quants& quants, uint32_t scales,
                                           uint32_t (&out)[4]) {
  if constexpr (std::is_same_v<T, __half>) {
    quants.halves(scales, out);
  } else {
    float values[8];
    quants.floats(scales, values);
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = pack_pair<T>(values[2 * i], values[2 * i + 1]);
  }
}

}  // namespace prefold::cuda
