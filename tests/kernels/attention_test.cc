#include "kernels/cpu/attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/kernels.h"
#include "kernels/reference/attention_int8.h"

namespace prefold {
namespace {

std::vector<float> random_values(size_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<float> uniform(-2.0f, 2.0f);
  std::vector<float> values(n);
  for (float& value : values) value = uniform(rng);
  return values;
}

// A tile of K and one of V with n_rows positions appended from `first` on.
struct Tiles {
  std::vector<std::byte> k;
  std::vector<std::byte> v;
};
Tiles append_rows(const CpuKernels& kernels, KvType type, int32_t head_dim,
                  const std::vector<float>& rows, int32_t n_rows, int32_t first) {
  const size_t bytes = kv_tile_bytes(type, head_dim);
  Tiles tiles{std::vector<std::byte>(bytes, std::byte{0x5a}),
              std::vector<std::byte>(bytes, std::byte{0x5a})};
  kernels.attention->append({rows.data(), rows.data(), head_dim, head_dim, n_rows, first, head_dim,
                             type, tiles.k.data(), tiles.v.data()});
  return tiles;
}

template <typename T>
T element(const std::vector<std::byte>& tile, size_t i) {
  T value;
  std::memcpy(&value, tile.data() + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

TEST_CASE("attention kernels: append stores the same bytes on every instruction set") {
  for (const int32_t head_dim : {16, 40, 64, 256}) {
    std::vector<float> rows = random_values(size_t{7} * head_dim, 1);
    // What f16 cannot hold, ties of the rounding, tiny values and a row of zeros.
    const float hard[] = {1e6f,           -1e6f,  65519.9f,    65520.0f,   1.00048828125f,
                          1.00146484375f, 1e-7f,  3e-8f,       2.98e-8f,   -0.0f,
                          6.1e-5f,        1e-40f, 1.00390625f, 1.01171875f};
    std::copy(std::begin(hard), std::end(hard), rows.begin());
    std::fill(rows.begin() + 3 * head_dim, rows.begin() + 4 * head_dim, 0.0f);
    for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8}) {
      const Tiles expected = append_rows(find_cpu_kernels("scalar"), type, head_dim, rows, 7, 11);
      for (const CpuKernels* kernels : available_cpu_kernels()) {
        CAPTURE(kernels->isa);
        const Tiles got = append_rows(*kernels, type, head_dim, rows, 7, 11);
        CHECK(got.k == expected.k);
        CHECK(got.v == expected.v);
      }
    }
  }
}

TEST_CASE("attention kernels: K is stored in columns, V in rows, and nothing beside them") {
  const std::vector<float> rows = random_values(2 * 40, 2);
  const Tiles tiles = append_rows(find_cpu_kernels("auto"), KvType::kF32, 40, rows, 2, 30);
  for (int32_t d = 0; d < 40; ++d) {
    CHECK(element<float>(tiles.k, d * 32 + 30) == rows[d]);
    CHECK(element<float>(tiles.k, d * 32 + 31) == rows[40 + d]);
    CHECK(element<uint32_t>(tiles.k, d * 32 + 29) == 0x5a5a5a5au);
    CHECK(element<float>(tiles.v, 30 * 48 + d) == rows[d]);
    CHECK(element<float>(tiles.v, 31 * 48 + d) == rows[40 + d]);
    CHECK(element<uint32_t>(tiles.v, 29 * 48 + d) == 0x5a5a5a5au);
  }
}

TEST_CASE("attention kernels: int8 is stored in quads, of dimensions in K and of positions in V") {
  const std::vector<float> rows = random_values(2 * 40, 2);
  const Tiles tiles = append_rows(find_cpu_kernels("auto"), KvType::kInt8, 40, rows, 2, 30);
  const reference::Int8Rows expected = reference::quantise_kv(rows.data(), 40, 2, 40);
  for (int32_t d = 0; d < 40; ++d) {
    for (int32_t j = 0; j < 2; ++j) {
      const int8_t quant = expected.quants[j * 40 + d];
      CHECK(element<uint8_t>(tiles.k, d / 4 * 128 + (30 + j) * 4 + d % 4) == quant + 128);
      CHECK(element<int8_t>(tiles.v, 7 * 48 * 4 + d * 4 + 2 + j) == quant);
    }
    CHECK(element<uint8_t>(tiles.k, d / 4 * 128 + 29 * 4 + d % 4) == 0x5a);
    CHECK(element<uint8_t>(tiles.v, 7 * 48 * 4 + d * 4 + 1) == 0x5a);
  }
  const size_t scales = kv_tile_values_bytes(KvType::kInt8, 40) / 4;
  for (int32_t j = 0; j < 2; ++j) {
    CHECK(element<float>(tiles.k, scales + 30 + j) == expected.scales[j]);
    CHECK(element<float>(tiles.v, scales + 30 + j) == expected.scales[j]);
  }
  CHECK(element<uint32_t>(tiles.k, scales + 29) == 0x5a5a5a5au);
}

TEST_CASE("attention kernels: bf16 rounds to nearest even, int8 keeps a scale for each token") {
  std::vector<float> rows(16, 0.0f);
  rows[0] = 1.00390625f;  // halfway between 1 and 1 + 2^-7: to the even 1
  rows[1] = 1.01171875f;  // halfway between 1 + 2^-7 and 1 + 2^-6: to the even 1 + 2^-6
  const Tiles bf16 = append_rows(find_cpu_kernels("auto"), KvType::kBF16, 16, rows, 1, 0);
  CHECK(element<uint16_t>(bf16.v, 0) == 0x3f80);
  CHECK(element<uint16_t>(bf16.v, 1) == 0x3f82);

  rows = {-254.0f, 254.0f, 1.0f, 3.0f, 5.0f, 2.0f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const Tiles int8 = append_rows(find_cpu_kernels("auto"), KvType::kInt8, 16, rows, 1, 0);
  const int8_t expected[] = {-127, 127, 0, 2, 2, 1};  // ties to even
  for (int i = 0; i < 6; ++i) CHECK(element<int8_t>(int8.v, 4 * i) == expected[i]);
  CHECK(element<float>(int8.v, kv_tile_values_bytes(KvType::kInt8, 16) / 4) == 2.0f);
}

TEST_CASE("attention kernels: a row's state does not depend on the rows walked with it") {
  constexpr int32_t kHeadDim = 64;
  constexpr int32_t kTiles = 3;
  constexpr int32_t kMost = kMaxWalkRows;
  const size_t tile_floats = kv_tile_bytes(KvType::kF32, kHeadDim) / 4;
  const std::vector<float> k = random_values(kTiles * tile_floats, 3);
  const std::vector<float> v = random_values(kTiles * tile_floats, 4);
  const std::vector<float> q = random_values(kMost * kHeadDim, 5);
  const std::vector<int32_t> blocks = {2, 0, 1};
  struct States {
    std::vector<float> max, sum, acc;
  };
  const auto walk = [&](const CpuKernels& kernels, int32_t first, int32_t n, bool causal) {
    States states{std::vector<float>(n), std::vector<float>(n), std::vector<float>(n * kHeadDim)};
    AttentionWalk args{};
    args.q = q.data() + first * kHeadDim;
    args.q_stride = kHeadDim;
    args.n_rows = n;
    args.n_group = 1;
    args.head_dim = kHeadDim;
    args.scale = 0.125f;
    args.k = reinterpret_cast<const std::byte*>(k.data());
    args.v = reinterpret_cast<const std::byte*>(v.data());
    args.block_stride = tile_floats * 4;
    args.block_ids = blocks.data();
    args.causal = causal;
    args.first_position = first;
    args.end_tile = causal ? (first + n - 1) / kKvTileTokens + 1 : kTiles;
    args.chunk = {states.max.data(), states.sum.data(), states.acc.data()};
    kernels.attention->walk(args);
    return states;
  };
  for (const bool causal : {false, true}) {
    const States expected = walk(find_cpu_kernels("auto"), 0, kMost, causal);
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(kernels->isa);
      for (int32_t n = 1; n <= 30; ++n) {
        const int32_t first = 2 * n;
        const States got = walk(*kernels, first, n, causal);
        CHECK(std::memcmp(got.max.data(), expected.max.data() + first, n * 4) == 0);
        CHECK(std::memcmp(got.sum.data(), expected.sum.data() + first, n * 4) == 0);
        CHECK(std::memcmp(got.acc.data(), expected.acc.data() + first * kHeadDim,
                          n * kHeadDim * 4) == 0);
      }
    }
  }
}

// n_group queries at each of n_rows positions, the last ones of n_positions; one KV head.
struct Int8Case {
  int32_t head_dim, n_group, n_rows, n_positions;
  bool causal;
};

TEST_CASE(
    "attention kernels: integer products give the reference's bits on every instruction set") {
  const Int8Case cases[] = {{64, 3, 1, 40, true},   {64, 3, 32, 96, true},  {64, 1, 96, 96, true},
                            {80, 4, 7, 77, true},   {96, 16, 5, 64, false}, {128, 9, 3, 33, true},
                            {40, 7, 13, 130, true}, {256, 2, 4, 65, true},  {64, 5, 19, 128, false},
                            {8, 1, 3, 5, true}};
  uint32_t seed = 10;
  for (const Int8Case& c : cases) {
    CAPTURE(c.head_dim);
    CAPTURE(c.n_group);
    const int32_t n = c.n_rows * c.n_group, n_tiles = (c.n_positions + 31) / 32;
    std::vector<float> k = random_values(c.n_positions * c.head_dim, seed++);
    std::vector<float> v = random_values(c.n_positions * c.head_dim, seed++);
    std::vector<float> q = random_values(n * c.head_dim, seed++);
    for (int32_t j = 0; j < c.n_positions; j += 3) {  // scales of very different size, and zeros
      const float size = j % 2 == 0 ? 0.001f : j % 5 == 0 ? 0.0f : 20.0f;
      for (int32_t d = 0; d < c.head_dim; ++d) {
        k[j * c.head_dim + d] *= size;
        v[j * c.head_dim + d] *= size;
      }
    }
    std::fill(q.begin(), q.begin() + c.head_dim, 0.0f);
    const float scale = 0.7f / std::sqrt(static_cast<float>(c.head_dim));
    const reference::Int8Rows k_rows =
        reference::quantise_kv(k.data(), c.head_dim, c.n_positions, c.head_dim);
    const reference::Int8Rows v_rows =
        reference::quantise_kv(v.data(), c.head_dim, c.n_positions, c.head_dim);
    const size_t tile_bytes = kv_tile_bytes(KvType::kInt8, c.head_dim);
    const int32_t n_columns = padded_head_dim(c.head_dim);
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(kernels->isa);
      std::vector<std::byte> tiles(2 * n_tiles * tile_bytes, std::byte{0xff});  // NaN scales
      std::vector<int32_t> blocks(n_tiles);
      for (int32_t t = 0; t < n_tiles; ++t) {
        blocks[t] = n_tiles - 1 - t;
        std::byte* k_tile = tiles.data() + 2 * blocks[t] * tile_bytes;
        kernels->attention->append({&k[32 * t * c.head_dim], &v[32 * t * c.head_dim], c.head_dim,
                                    c.head_dim, std::min(32, c.n_positions - 32 * t), 0, c.head_dim,
                                    KvType::kInt8, k_tile, k_tile + tile_bytes});
      }
      std::vector<float> max(n), sum(n), acc(n * n_columns);
      AttentionWalk walk{};
      walk.q = q.data();
      walk.q_stride = c.n_group * c.head_dim;
      walk.n_rows = c.n_rows;
      walk.n_group = c.n_group;
      walk.head_dim = c.head_dim;
      walk.scale = scale;
      walk.type = KvType::kInt8;
      walk.k = tiles.data();
      walk.v = tiles.data() + tile_bytes;
      walk.block_stride = 2 * tile_bytes;
      walk.block_ids = blocks.data();
      walk.end_tile = n_tiles;
      walk.causal = c.causal;
      walk.first_position = c.n_positions - c.n_rows;
      walk.chunk = {max.data(), sum.data(), acc.data()};
      kernels->walk_attention_int8(walk);
      for (int32_t i = 0; i < n; ++i) {
        const int32_t seen = c.causal ? walk.first_position + i / c.n_group + 1 : c.n_positions;
        const reference::SoftmaxState expected = reference::attention_int8(
            std::span(q).subspan(i * c.head_dim, c.head_dim), k_rows, v_rows, 0, seen, scale);
        CHECK(max[i] == expected.max);
        CHECK(sum[i] == expected.sum);
        CHECK(std::memcmp(&acc[i * n_columns], expected.acc.data(), c.head_dim * 4) == 0);
      }
    }
  }
}

}  // namespace prefold
