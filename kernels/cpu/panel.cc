#include "kernels/cpu/panel.h"

#include <cstring>

#include "base/check.h"

namespace prefold {
namespace {

// One chunk of one column, unpacked from the file's block.
struct Chunk {
  uint8_t quants[kChunkK];
  uint16_t d, m;                   // f16 of the block, or of the super-block
  uint8_t zero;                    // of kInt4
  uint8_t scales[2], minimums[2];  // two levels: of each group
};

uint16_t load_u16(const std::byte* p) {
  uint16_t x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}

void nibbles_16_apart(const uint8_t* packed, uint8_t* quants) {
  for (int i = 0; i < 16; ++i) {
    quants[i] = packed[i] & 15;
    quants[i + 16] = packed[i] >> 4;
  }
}

// Bit i of `bits` becomes bit `at` of quants[i].
void add_bits(const uint8_t* bits, int at, uint8_t* quants) {
  for (int i = 0; i < kChunkK; ++i) {
    quants[i] = static_cast<uint8_t>(quants[i] | ((bits[i / 8] >> (i % 8)) & 1) << at);
  }
}

// Q4_0 and IQ4_NL: d, 16 bytes; Q4_1: d, m, 16 bytes; Q5_0: d, 4 bytes of high bits, 16 bytes;
// Q5_1: d, m, 4, 16; Q8_0: d, 32 bytes; MXFP4: an exponent, 16 bytes.
void unpack_one_level(TensorType type, const std::byte* block, Chunk& chunk) {
  const PanelFormat format = panel_format(type);
  if (format.exponent_scales) {
    chunk.scales[0] = static_cast<uint8_t>(block[0]);
    return nibbles_16_apart(reinterpret_cast<const uint8_t*>(block) + 1, chunk.quants);
  }
  chunk.d = load_u16(block);
  const uint8_t* rest = reinterpret_cast<const uint8_t*>(block) + 2;
  if (format.has_min) {
    chunk.m = load_u16(block + 2);
    rest += 2;
  }
  if (format.bits == 8) {
    for (int i = 0; i < kChunkK; ++i) chunk.quants[i] = rest[i] ^ 0x80;  // signed + 128
    return;
  }
  const uint8_t* high_bits = rest;
  if (format.bits == 5) rest += 4;
  nibbles_16_apart(rest, chunk.quants);
  if (format.bits == 5) add_bits(high_bits, 4, chunk.quants);
}

// kInt4: d, zero, 16 bytes for each chunk.
void unpack_int4(const std::byte* block, int sub, Chunk& chunk) {
  chunk.d = load_u16(block);
  chunk.zero = static_cast<uint8_t>(block[2]);
  nibbles_16_apart(reinterpret_cast<const uint8_t*>(block) + 3 + sub * 16, chunk.quants);
}

// The eight 6-bit scales and minimums of Q4_K and Q5_K, in 12 bytes.
void unpack_6_bit_scales(const uint8_t* packed, int sub, Chunk& chunk) {
  if (sub < 4) {
    chunk.scales[0] = packed[sub] & 63;
    chunk.minimums[0] = packed[sub + 4] & 63;
  } else {
    chunk.scales[0] = static_cast<uint8_t>((packed[sub + 4] & 15) | (packed[sub - 4] >> 6) << 4);
    chunk.minimums[0] = static_cast<uint8_t>((packed[sub + 4] >> 4) | (packed[sub] >> 6) << 4);
  }
}

// 2 bits of each of 32 elements: those of chunk `sub` of a super-block whose 64 bytes hold four
// chunks of each half.
void two_bits_of(const uint8_t* packed, int sub, uint8_t* quants) {
  for (int i = 0; i < kChunkK; ++i) {
    quants[i] = (packed[sub / 4 * 32 + i] >> (2 * (sub % 4))) & 3;
  }
}

void nibbles_of(const uint8_t* packed, int sub, uint8_t* quants) {
  for (int i = 0; i < kChunkK; ++i) {
    quants[i] = (packed[sub / 2 * 32 + i] >> (4 * (sub % 2))) & 15;
  }
}

// Chunk `sub` (0..7) of a super-block.
void unpack_two_level(TensorType type, const std::byte* block, int sub, Chunk& chunk) {
  const uint8_t* b = reinterpret_cast<const uint8_t*>(block);
  uint8_t* q = chunk.quants;
  switch (type) {
    case TensorType::kQ2_K:  // scales[16], quants[64], d, dmin
      two_bits_of(b + 16, sub, q);
      for (int g = 0; g < 2; ++g) chunk.scales[g] = b[2 * sub + g];
      chunk.d = load_u16(block + 80);
      chunk.m = load_u16(block + 82);
      break;
    case TensorType::kQ3_K: {  // high bits[32], quants[64], scales[12], d
      two_bits_of(b + 32, sub, q);
      for (int i = 0; i < kChunkK; ++i) {
        q[i] = static_cast<uint8_t>(q[i] | ((b[i] >> sub) & 1) << 2);
      }
      const uint8_t* packed = b + 96;
      for (int g = 0; g < 2; ++g) {
        const int s = 2 * sub + g;
        const int low = (packed[s % 8] >> (4 * (s / 8))) & 15;
        const int high = (packed[8 + s % 4] >> (2 * (s / 4))) & 3;
        chunk.scales[g] = static_cast<uint8_t>((low | high << 4) - 32);
      }
      chunk.d = load_u16(block + 108);
      break;
    }
    case TensorType::kQ4_K:  // d, dmin, scales[12], quants[128]
    case TensorType::kQ5_K:  // d, dmin, scales[12], high bits[32], quants[128]
      chunk.d = load_u16(block);
      chunk.m = load_u16(block + 2);
      unpack_6_bit_scales(b + 4, sub, chunk);
      nibbles_of(b + (type == TensorType::kQ4_K ? 16 : 48), sub, q);
      if (type == TensorType::kQ5_K) {
        for (int i = 0; i < kChunkK; ++i) {
          q[i] = static_cast<uint8_t>(q[i] | ((b[16 + i] >> sub) & 1) << 4);
        }
      }
      break;
    case TensorType::kQ6_K:  // low[128], high[64], scales[16], d
      for (int i = 0; i < kChunkK; ++i) {
        const int low = (b[sub / 4 * 64 + sub % 2 * 32 + i] >> (sub % 4 / 2 * 4)) & 15;
        const int high = (b[128 + sub / 4 * 32 + i] >> (2 * (sub % 4))) & 3;
        q[i] = static_cast<uint8_t>(low | high << 4);
      }
      for (int g = 0; g < 2; ++g) chunk.scales[g] = b[192 + 2 * sub + g];
      chunk.d = load_u16(block + 208);
      break;
    case TensorType::kIQ4_XS: {  // d, high bits of scales[2], low bits[4], quants[128]
      nibbles_16_apart(b + 8 + sub * 16, q);
      const int low = (b[4 + sub / 2] >> (4 * (sub % 2))) & 15;
      const int high = (load_u16(block + 2) >> (2 * sub)) & 3;
      chunk.scales[0] = static_cast<uint8_t>((low | high << 4) - 32);
      chunk.d = load_u16(block);
      break;
    }
    default:
      CHECK(false);
  }
}

// Writes the chunk as one column of the panel's planes. Four quants are handled as one word.
void write_planes(int bits, const Chunk& chunk, std::byte* planes, int col) {
  uint32_t quads[8];
  std::memcpy(quads, chunk.quants, sizeof(quads));
  const auto put = [&](int word, uint32_t value) {
    std::memcpy(planes + word * kPlaneWordBytes + 4 * col, &value, sizeof(value));
  };
  if (bits == 8) {
    for (int j = 0; j < 8; ++j) put(j, quads[j]);
    return;
  }
  int word = 0;
  int at = 0;
  if ((bits & 4) != 0) {
    for (int w = 0; w < 4; ++w) {
      put(word++, (quads[2 * w] & 0x0f0f0f0f) | (quads[2 * w + 1] & 0x0f0f0f0f) << 4);
    }
    at = 4;
  }
  if ((bits & 2) != 0) {
    for (int odd = 0; odd < 2; ++odd) {
      uint32_t value = 0;
      for (int w = 0; w < 4; ++w) value |= ((quads[2 * w + odd] >> at) & 0x03030303) << (2 * w);
      put(word++, value);
    }
    at += 2;
  }
  if ((bits & 1) != 0) {
    uint32_t value = 0;
    for (int j = 0; j < 8; ++j) value |= ((quads[j] >> at) & 0x01010101) << j;
    put(word, value);
  }
}

void write_scales(const PanelFormat& format, const Chunk& chunk, std::byte* header,
                  std::byte* scales, int col) {
  if (format.exponent_scales) {
    scales[col] = static_cast<std::byte>(chunk.scales[0]);
    return;
  }
  std::byte* halves = format.header_k > 0 ? header : scales;
  std::memcpy(halves + 2 * col, &chunk.d, 2);
  if (format.has_zero) {
    halves[2 * kPanelCols + col] = static_cast<std::byte>(chunk.zero);
    return;
  }
  if (format.has_min) std::memcpy(halves + 2 * kPanelCols + 2 * col, &chunk.m, 2);
  if (!format.two_level) return;
  for (int g = 0; g < format.n_groups(); ++g) {
    scales[g * kPanelCols + col] = static_cast<std::byte>(chunk.scales[g]);
    if (format.has_min && !format.packed_scales) {
      scales[(format.n_groups() + g) * kPanelCols + col] =
          static_cast<std::byte>(chunk.minimums[g]);
    }
  }
}

}  // namespace

void pack_panel(TensorType type, const std::byte* rows, size_t row_bytes, int32_t n_cols,
                int32_t n_in, std::byte* panel) {
  const PanelFormat format = panel_format(type);
  if (n_cols < kPanelCols) std::memset(panel, 0, panel_bytes(type, n_in));
  if (format.float_bytes > 0) {
    const size_t size = static_cast<size_t>(format.float_bytes);
    for (int32_t k = 0; k < n_in; ++k) {
      for (int32_t col = 0; col < n_cols; ++col) {
        std::memcpy(panel + (k * kPanelCols + col) * size, rows + col * row_bytes + k * size, size);
      }
    }
    return;
  }
  const int32_t block_bytes = traits_of(type).block_bytes;
  const int32_t block_chunks = traits_of(type).block_elements / kChunkK;
  for (int32_t chunk_idx = 0; chunk_idx < n_in / kChunkK; ++chunk_idx) {
    const ChunkOffsets at = chunk_offsets(format, chunk_idx);
    const int32_t block_idx = chunk_idx / block_chunks, sub = chunk_idx % block_chunks;
    for (int32_t col = 0; col < n_cols; ++col) {
      const std::byte* block = rows + col * row_bytes + int64_t{block_idx} * block_bytes;
      Chunk chunk{};
      if (format.has_zero) {
        unpack_int4(block, sub, chunk);
      } else if (format.two_level) {
        unpack_two_level(type, block, sub, chunk);
      } else {
        unpack_one_level(type, block, chunk);
      }
      write_scales(format, chunk, panel + at.header, panel + at.chunk, col);
      write_planes(format.bits, chunk, panel + at.chunk + format.scale_bytes(), col);
    }
  }
}

}  // namespace prefold
