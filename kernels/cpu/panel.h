// Packed weights: a matrix is cut into panels of 16 output columns (rows of the file's tensor), and
// a panel holds for each step of the inner dimension k what the 16 columns need, so that columns
// lie in vector lanes. Panels follow one another, panel_bytes apart; lanes past the last column
// hold zero weights.
//
// Plain floats:   [k][16 columns], as stored.
// Quantised:      a sequence of chunks of 32 k, each of
//   scales   one level:  16 x f16 d, then 16 x f16 m if the type has a minimum
//            two levels: for each group of group_k: 16 x int8 scale, then 16 x uint8 minimum
//                        (Q2_K: one byte, the scale in its low half)
//   planes   the quants, unsigned, cut into planes of bits; the words below are 16 x uint32, a lane
//            a column, and byte i of a lane belongs to the i-th of 4 consecutive k, the form that
//            integer dot products read (quad j: k = 4j .. 4j + 3):
//              8 bits: word j is quad j                                        (8 words)
//              4 bits: word w has quad 2w in the low halves of its bytes, quad 2w + 1 in the high
//                      ones                                                    (4 words)
//              2 bits: word a has quad 2w, word b quad 2w + 1, at bits 2w, 2w + 1 of the bytes
//                                                                              (2 words)
//              1 bit:  quad j at bit j of the bytes                            (1 word)
//            lower bits first: 5 = 4 + 1 bits, 6 = 4 + 2, 3 = 2 + 1
// Two-level types begin every super-block of 256 k (8 chunks) with 16 x f16 d, then 16 x f16 dmin
// if the type has a minimum. The kInt4 types begin every block of theirs with 16 x f16 d and 16 x
// uint8 zero, and their chunks have no scales. MXFP4 has 16 bytes of exponents for scales.
//
// A weight is fma(scale, q, min), exact before its one rounding, where (scale, min) is
//   (d, m) or (d, -offset d) for one level, (d s, -dmin m) or (d s, -offset d s) for two, (d, -d
// zero) for kInt4: the value that gguf-py's dequantize gives, save that a zero is always +0. Where
// a type has a table, q is the table's entry for the stored quant.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace prefold {

inline constexpr int32_t kPanelCols = 16;
inline constexpr int32_t kChunkK = 32;
inline constexpr int32_t kPlaneWordBytes = 64;

// What the 4-bit quants of some types stand for, made unsigned by the type's offset.
enum class QuantTable : uint8_t { kNone, kIq4, kMxfp4 };
inline constexpr uint8_t kIq4Values[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                           129, 141, 153, 166, 181, 197, 217, 241};  // + 128
inline constexpr uint8_t kMxfp4Values[16] = {16, 17, 18, 19, 20, 22, 24, 28,
                                             16, 15, 14, 13, 12, 10, 8,  4};  // + 16

struct PanelFormat {
  int32_t float_bytes = 0;  // of a plain float; 0: quantised, described by the rest
  int32_t bits = 0;         // of a stored quant
  int32_t group_k = kChunkK;
  int32_t offset = 0;  // the quant that means zero, where there is no minimum
  bool has_min = false;
  bool two_level = false;
  bool packed_scales = false;    // scale and minimum share a byte
  bool has_zero = false;         // of a block; then there is a minimum
  bool exponent_scales = false;  // scales are bytes e, for 2^(e - 128)
  int32_t header_k = 0;          // k that share a header; 0: there is none
  QuantTable table = QuantTable::kNone;

  constexpr int32_t n_groups() const { return kChunkK / group_k; }
  // Bits of an unpacked quant.
  constexpr int32_t quant_bits() const {
    return table == QuantTable::kNone ? bits : table == QuantTable::kIq4 ? 8 : 5;
  }
  constexpr int32_t scale_bytes() const {
    if (has_zero) return 0;
    if (exponent_scales) return kPanelCols;
    if (!two_level) return kPanelCols * 2 * (has_min ? 2 : 1);
    return n_groups() * kPanelCols * (has_min && !packed_scales ? 2 : 1);
  }
  constexpr int32_t chunk_bytes() const { return scale_bytes() + bits * kPlaneWordBytes; }
  constexpr int32_t header_bytes() const {
    if (has_zero) return kPanelCols * 3;
    return two_level ? kPanelCols * 2 * (has_min ? 2 : 1) : 0;
  }
};

constexpr PanelFormat panel_format(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return {.float_bytes = 4};
    case TensorType::kF16:
    case TensorType::kBF16:
      return {.float_bytes = 2};
    case TensorType::kQ4_0:
      return {.bits = 4, .offset = 8};
    case TensorType::kQ4_1:
      return {.bits = 4, .has_min = true};
    case TensorType::kQ5_0:
      return {.bits = 5, .offset = 16};
    case TensorType::kQ5_1:
      return {.bits = 5, .has_min = true};
    case TensorType::kQ8_0:
      return {.bits = 8, .offset = 128};
    case TensorType::kQ2_K:
      return {.bits = 2,
              .group_k = 16,
              .has_min = true,
              .two_level = true,
              .packed_scales = true,
              .header_k = 256};
    case TensorType::kQ3_K:
      return {.bits = 3, .group_k = 16, .offset = 4, .two_level = true, .header_k = 256};
    case TensorType::kQ4_K:
      return {.bits = 4, .has_min = true, .two_level = true, .header_k = 256};
    case TensorType::kQ5_K:
      return {.bits = 5, .has_min = true, .two_level = true, .header_k = 256};
    case TensorType::kQ6_K:
      return {.bits = 6, .group_k = 16, .offset = 32, .two_level = true, .header_k = 256};
    case TensorType::kIQ4_NL:
      return {.bits = 4, .offset = 128, .table = QuantTable::kIq4};
    case TensorType::kIQ4_XS:
      return {
          .bits = 4, .offset = 128, .two_level = true, .header_k = 256, .table = QuantTable::kIq4};
    case TensorType::kMXFP4:
      return {.bits = 4, .offset = 16, .exponent_scales = true, .table = QuantTable::kMxfp4};
    case TensorType::kInt4_32:
      return {.bits = 4, .has_min = true, .has_zero = true, .header_k = 32};
    case TensorType::kInt4_64:
      return {.bits = 4, .has_min = true, .has_zero = true, .header_k = 64};
    case TensorType::kInt4_128:
      return {.bits = 4, .has_min = true, .has_zero = true, .header_k = 128};
  }
  return {};
}

// Where a chunk lies in a panel (its block's header, at the block's begin, and itself).
struct ChunkOffsets {
  size_t header;
  size_t chunk;
};
constexpr ChunkOffsets chunk_offsets(const PanelFormat& format, int64_t chunk_idx) {
  if (format.header_k == 0) return {0, static_cast<size_t>(chunk_idx * format.chunk_bytes())};
  const int64_t n_chunks = format.header_k / kChunkK;
  const int64_t header =
      chunk_idx / n_chunks * (format.header_bytes() + n_chunks * format.chunk_bytes());
  return {static_cast<size_t>(header),
          static_cast<size_t>(header + format.header_bytes() +
                              chunk_idx % n_chunks * format.chunk_bytes())};
}

// n_in: a multiple of the type's block.
constexpr size_t panel_bytes(TensorType type, int64_t n_in) {
  const PanelFormat format = panel_format(type);
  if (format.float_bytes > 0) return static_cast<size_t>(n_in * kPanelCols * format.float_bytes);
  return chunk_offsets(format, n_in / kChunkK).chunk - format.header_bytes();
}

// Packs columns [0, n_cols) of one panel, n_cols in [1, 16]. rows: the first of n_cols stored rows,
// row_bytes apart, of n_in elements each.
void pack_panel(TensorType type, const std::byte* rows, size_t row_bytes, int32_t n_cols,
                int32_t n_in, std::byte* panel);

}  // namespace prefold
