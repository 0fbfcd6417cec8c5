// How weight matrices lie in device memory.
//
// kDense  values of one float type, row-major (n_out, n_in): what cuBLAS reads too.
// kW8     8-bit quants in groups of 32 along k, one f16 scale d a group:  w = d * q
// kW4     4-bit quants in groups of 32 along k, f16 scale d, and a minimum m:  w = d * q + m
//         or a zero z, 0 to 16:  w = d * (q - z)
//
// Quants lie in units of 8 outputs x 32 k, units of the same k side by side: (n_in / 32, n_out /
// 8). A unit holds, lane by lane, what a warp's lanes need as B operands of two mma.m16n8k16: lane
// 4 g + t has the quants of output g at k = 16 s + 2 t + {0, 1, 8, 9}, s = 0, 1.
//   kW8: 256 bytes, 8 a lane: byte 4 s + i is q + 128 of the i-th of these k
//   kW4: 128 bytes, 4 a lane: of step s, k pair p (0: +0 and +1, 1: +8 and +9), the even k's quant
//   is
//        at bit 8 s + 4 p, the odd one's at bit 16 + 8 s + 4 p
// So stages of any multiple of 32 k and 8 outputs are runs of whole sectors, and a warp reads a
// unit from shared memory without bank conflicts, in its fragments' order. Scales: (n_in / 32,
// n_out), f16 (kW8) or pairs, scale first (kW4): with a finite f16, the minimum, or with 0x7c00 +
// z, which is none.
//
// A weight's value in T is that of the formula rounded once to T, in every kernel that reads it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/types.h"

namespace prefold::cuda {

enum class WeightFormat : uint8_t { kDense, kW8, kW4 };

inline constexpr int32_t kWeightGroup = 32;       // k that share a scale
inline constexpr int32_t kWeightUnitOutputs = 8;  // outputs of a unit

// The second of a kW4 group's pair where it is a zero.
constexpr uint16_t zero_bits(int32_t zero) { return static_cast<uint16_t>(0x7c00 + zero); }

constexpr int32_t unit_bytes(WeightFormat format) {
  return format == WeightFormat::kW8 ? 256 : 128;
}
constexpr int32_t scale_bytes(WeightFormat format) { return format == WeightFormat::kW8 ? 2 : 4; }

// A matrix in device memory; owns nothing. n_out: a multiple of 8; n_in: a multiple of 32.
struct DeviceMatrix {
  WeightFormat format = WeightFormat::kDense;
  FloatType type = FloatType::kF16;  // of the values if dense; not used otherwise
  int32_t n_out = 0;
  int32_t n_in = 0;
  const void* values = nullptr;  // dense values or quants; 16-byte aligned
  const void* scales = nullptr;  // null if dense; 16-byte aligned
};

// A matrix with an optional f32 bias of n_out values (null: none; 16-byte aligned).
struct DeviceLinear {
  DeviceMatrix weight = {};
  const float* bias = nullptr;
};

}  // namespace prefold::cuda
