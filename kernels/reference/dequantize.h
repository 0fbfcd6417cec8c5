// The one f32 value of every stored weight, by plain loops: the truth that packed formats and fast
// kernels are compared with. A value is d*q (+ m) computed exactly and rounded once; all products
// of scales and quanta fit 24 bits, so only the final addition rounds.
//
// Block layouts, as the GGUF format defines them (d, m: f16, little-endian; "low first" means that
// the low bits of the bytes hold the first elements and the high bits those that follow):
//   Q4_0   d, 16 bytes of 4-bit q, low first           d * (q - 8)
//   Q4_1   d, m, 16 bytes of q                          d * q + m
//   Q5_0   d, u32 of fifth bits, 16 bytes of q          d * (q - 16)
//   Q5_1   d, m, u32 of fifth bits, 16 bytes of q       d * q + m
//   Q8_0   d, 32 int8                                   d * q
//   IQ4_NL d, 16 bytes of 4-bit q, low first            d * t[q], of a table of 16 int8 values
//   MXFP4  a byte e, 16 bytes of 4-bit q, low first      2^(e - 128) * t[q]: twice an E2M1 float
// and in 256-element super-blocks, with a scale s (and a minimum m) for every 16 or 32 elements:
//   Q2_K   16 bytes of s (low half) and m (high), 64 of 2-bit q, d, dmin    d * s * q - dmin * m
//   Q3_K   32 bytes of third bits, 64 of 2-bit q, 12 of 6-bit s, d          d * (s - 32) * (q - 4)
//   Q4_K   d, dmin, 12 bytes of 6-bit s and m, 128 of 4-bit q               d * s * q - dmin * m
//   Q5_K   d, dmin, 12 bytes of 6-bit s and m, 32 of fifth bits, 128 of q   d * s * q - dmin * m
//   Q6_K   128 bytes of 4-bit q, 64 of upper 2 bits, 16 int8 s, d           d * s * (q - 32)
//   IQ4_XS d, u16 of upper and 4 bytes of lower bits of 6-bit s, 128 of q   d * (s - 32) * t[q]
// The kInt4 types have blocks of 32, 64 or 128 elements:
//          d, a byte z (16 at most), of each 32 elements 16 bytes of q      d * (q - z)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tensor_type.h"

namespace prefold::reference {

// An element of a quantised type: scale * quant + minimum. A type without minimum has -0.
struct Quantised {
  float scale;
  int32_t quant;
  float minimum;
};

// As dequantize, of quantised types only.
void unpack(TensorType type, std::span<const std::byte> stored, std::span<Quantised> out);

// out.size() elements from `stored`, which holds exactly that many (a multiple of the block).
void dequantize(TensorType type, std::span<const std::byte> stored, std::span<float> out);

}  // namespace prefold::reference
