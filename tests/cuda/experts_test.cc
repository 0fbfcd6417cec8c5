#include <algorithm>
#include <numeric>
#include <random>

#include "cuda/linear_fixture.h"
#include "kernels/cuda/expert_gemm.h"
#include "kernels/cuda/expert_routes.h"
#include "kernels/cuda/expert_sum.h"
#include "kernels/cuda/gemm_exact.h"

namespace prefold::cuda {
namespace {

// What a row takes, as expert_routes.h has it, in double.
struct PlainRoute {
  std::vector<int32_t> experts;
  std::vector<double> weights;
};

PlainRoute plain_route(std::span<const float> logits, int32_t n_used, bool normalise) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [&](int32_t expert) {
    return std::isnan(logits[expert]) ? -INFINITY : logits[expert];
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return value(a) > value(b); });
  double sum = 0.0, taken_sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit} - value(order[0]));
  PlainRoute route{{order.begin(), order.begin() + n_used}, {}};
  std::sort(route.experts.begin(), route.experts.end());
  for (const int32_t expert : route.experts) {
    route.weights.push_back(std::exp(double{logits[expert]} - value(order[0])) / sum);
    taken_sum += route.weights.back();
  }
  for (double& weight : route.weights) weight /= normalise ? taken_sum : 1.0;
  return route;
}

void check_routes(int32_t n_experts, int32_t n_used, bool normalise) {
  CAPTURE(n_experts);
  CAPTURE(n_used);
  CAPTURE(normalise);
  constexpr int32_t kRows = 21;
  const int64_t stride = n_experts + 8;
  std::mt19937 rng(static_cast<uint32_t>(n_experts));
  std::vector<float> logits = random_floats(static_cast<size_t>(kRows * stride), rng);
  // Ties of all, of some, both zeros; a row with no number in one place.
  std::fill_n(logits.begin(), n_experts, 0.5f);
  for (int32_t i = 0; i < n_experts; ++i) logits[stride + i] = static_cast<float>(i % 3);
  for (int32_t i = 0; i < n_experts; ++i) logits[2 * stride + i] = i % 2 == 0 ? -0.0f : 0.0f;
  const DeviceBuffer<float> device_logits(logits), weights(size_t(kRows * n_used));
  const DeviceBuffer<int32_t> experts(size_t(kRows * n_used));
  run_kernel("route_experts", launch_route_experts({.logits = device_logits.data(),
                                                    .stride = stride,
                                                    .n_rows = kRows,
                                                    .n_experts = n_experts,
                                                    .n_used = n_used,
                                                    .normalise = normalise,
                                                    .experts = experts.data(),
                                                    .weights = weights.data()},
                                                   nullptr));
  const std::vector<int32_t> found = experts.download();
  const std::vector<float> found_weights = weights.download();
  for (int32_t row = 0; row < kRows; ++row) {
    CAPTURE(row);
    const PlainRoute route =
        plain_route(std::span(logits).subspan(row * stride, n_experts), n_used, normalise);
    for (int32_t i = 0; i < n_used; ++i) {
      REQUIRE(found[row * n_used + i] == route.experts[i]);
      REQUIRE(std::fabs(found_weights[row * n_used + i] - route.weights[i]) <=
              2e-6 * route.weights[i] + 1e-9);
    }
  }
}

// Random routes: of each row `n_used` experts, ascending, low ones more often.
std::vector<int32_t> random_routes(int32_t n_rows, int32_t n_used, int32_t n_experts,
                                   std::mt19937& rng) {
  std::vector<int32_t> experts;
  for (int32_t row = 0; row < n_rows; ++row) {
    std::vector<int32_t> taken;
    while (static_cast<int32_t>(taken.size()) < n_used) {
      const auto expert = static_cast<int32_t>(std::min(rng() % n_experts, rng() % n_experts));
      if (std::find(taken.begin(), taken.end(), expert) == taken.end()) taken.push_back(expert);
    }
    std::sort(taken.begin(), taken.end());
    experts.insert(experts.end(), taken.begin(), taken.end());
  }
  return experts;
}

// The groups of some rows, on the device.
struct Groups {
  Groups(const std::vector<int32_t>& taken, int32_t rows_of_step, int32_t used, int32_t experts_of,
         int32_t tile)
      : n_rows(rows_of_step),
        n_used(used),
        n_experts(experts_of),
        max_tiles(most_expert_tiles(n_rows, n_used, n_experts, tile)),
        experts(taken),
        counts(static_cast<size_t>(n_experts)),
        entries(taken.size()),
        rows(taken.size()),
        n_tiles(1),
        tiles(static_cast<size_t>(max_tiles)) {
    run_kernel("group_rows", launch_group_rows({.experts = experts.data(),
                                                .n_rows = n_rows,
                                                .n_used = n_used,
                                                .n_experts = n_experts,
                                                .tile_rows = tile,
                                                .counts = counts.data(),
                                                .entries = entries.data(),
                                                .rows = rows.data(),
                                                .tiles = tiles.data(),
                                                .n_tiles = n_tiles.data()},
                                               nullptr));
  }

  int32_t n_rows, n_used, n_experts, max_tiles;
  DeviceBuffer<int32_t> experts, counts, entries, rows, n_tiles;
  DeviceBuffer<ExpertTile> tiles;
};

void check_groups(int32_t n_rows, int32_t n_used, int32_t n_experts, int32_t tile_rows) {
  CAPTURE(n_rows);
  CAPTURE(n_used);
  CAPTURE(n_experts);
  std::mt19937 rng(static_cast<uint32_t>(n_rows));
  const std::vector<int32_t> experts = random_routes(n_rows, n_used, n_experts, rng);
  const Groups groups(experts, n_rows, n_used, n_experts, tile_rows);
  std::vector<int32_t> order(experts.size());  // by expert, then by row
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return experts[a] < experts[b]; });
  REQUIRE(groups.entries.download() == order);
  const std::vector<int32_t> rows = groups.rows.download();
  for (size_t place = 0; place < order.size(); ++place) {
    REQUIRE(rows[place] == order[place] / n_used);
  }
  const int32_t n_tiles = groups.n_tiles.download()[0];
  REQUIRE(n_tiles <= groups.max_tiles);
  const std::vector<ExpertTile> tiles = groups.tiles.download();
  int32_t next = 0;
  for (int32_t i = 0; i < n_tiles; ++i) {
    REQUIRE(tiles[i].first == next);
    REQUIRE(tiles[i].n_rows > 0);
    REQUIRE(tiles[i].n_rows <= tile_rows);
    for (int32_t k = 0; k < tiles[i].n_rows; ++k) {
      REQUIRE(experts[order[next + k]] == tiles[i].expert);
    }
    const bool is_last = next + tiles[i].n_rows == static_cast<int32_t>(order.size());
    const bool ends_expert = is_last || experts[order[next + tiles[i].n_rows]] != tiles[i].expert;
    CHECK((tiles[i].n_rows == tile_rows || ends_expert));
    next += tiles[i].n_rows;
  }
  CHECK(next == static_cast<int32_t>(order.size()));
}

// Matrices one behind the other, and each by itself.
struct TestExperts {
  TestExperts(TensorType stored, FloatType type, int32_t n_experts, int32_t n_out, int32_t n_in,
              std::mt19937& rng)
      : bytes(0) {
    std::vector<std::byte> all;
    for (int32_t i = 0; i < n_experts; ++i) {
      matrices.emplace_back(stored, type, n_out, n_in, rng);
      const std::vector<std::byte> one = matrices.back().bytes.download();
      all.insert(all.end(), one.begin(), one.end());
    }
    bytes = DeviceBuffer<std::byte>(all);
  }

  DeviceExperts experts() const {
    const MatrixLayout& layout = matrices.front().layout;
    return {device_matrix(layout, bytes.data()), layout.n_bytes};
  }

  std::vector<TestMatrix> matrices;
  DeviceBuffer<std::byte> bytes;
};

// A row's product with one expert's matrix, by the kernel that knows of no experts.
std::vector<uint8_t> lone_product(FloatType type, const char* x, const TestMatrix& matrix) {
  const DeviceFloats out(type, static_cast<size_t>(matrix.layout.n_out));
  if (type == FloatType::kF32) {
    run_kernel("gemm_exact", launch_gemm_exact({.x = reinterpret_cast<const float*>(x),
                                                .x_stride = matrix.layout.n_in,
                                                .n_rows = 1,
                                                .linear = matrix.linear(),
                                                .out = out.as<float>(),
                                                .out_stride = matrix.layout.n_out},
                                               nullptr));
  } else {
    run_kernel("gemm", launch_gemm({.type = type,
                                    .tile = GemmTile::k8x32,
                                    .x = x,
                                    .x_stride = matrix.layout.n_in,
                                    .n_rows = 1,
                                    .linear = matrix.linear(),
                                    .out = out.data(),
                                    .out_stride = matrix.layout.n_out},
                                   nullptr));
  }
  return out.download_bytes();
}

// From a row for all entries of it, then from one for each, against lone products: the same bits.
void check_expert_gemm(TensorType stored, FloatType type, GemmTile tile, int32_t n_rows) {
  CAPTURE(traits_of(stored).name);
  CAPTURE(static_cast<int>(type));
  CAPTURE(static_cast<int>(tile));
  constexpr int32_t kUsed = 2, kExperts = 5, kOut = 72, kIn = 160;
  std::mt19937 rng(static_cast<uint32_t>(n_rows));
  const TestExperts weights(stored, type, kExperts, kOut, kIn, rng);
  const std::vector<int32_t> taken = random_routes(n_rows, kUsed, kExperts, rng);
  const Groups groups(taken, n_rows, kUsed, kExperts, expert_tile_rows(tile));
  const int32_t n_entries = n_rows * kUsed;
  const DeviceFloats x(type, random_floats(static_cast<size_t>(n_entries * kIn), rng));
  constexpr int64_t kStride = kOut + 8;
  const std::vector<float> untouched(static_cast<size_t>(n_entries * kStride), 77.0f);
  for (const bool is_shared : {true, false}) {
    CAPTURE(is_shared);
    const DeviceFloats out(type, untouched);
    run_kernel("expert_gemm",
               launch_expert_gemm({.type = type,
                                   .tile = tile,
                                   .x = x.data(),
                                   .x_stride = kIn,
                                   .x_rows = is_shared ? groups.rows.data() : groups.entries.data(),
                                   .experts = weights.experts(),
                                   .out = out.data(),
                                   .out_stride = kStride,
                                   .out_rows = groups.entries.data(),
                                   .tiles = groups.tiles.data(),
                                   .n_tiles = groups.n_tiles.data(),
                                   .max_tiles = groups.max_tiles},
                                  nullptr));
    const std::vector<uint8_t> found = out.download_bytes();
    const std::vector<float> found_values = out.download();
    const size_t value_bytes = float_bytes(type);
    // Of large tiles some: lone products take their time.
    for (int32_t entry = 0; entry < n_entries; entry += 1 + n_entries / 24) {
      const int32_t row = is_shared ? entry / kUsed : entry;
      const std::vector<uint8_t> lone =
          lone_product(type, x.as<char>() + static_cast<size_t>(row) * kIn * value_bytes,
                       weights.matrices[static_cast<size_t>(taken[entry])]);
      CHECK(std::equal(lone.begin(), lone.end(), found.begin() + entry * kStride * value_bytes));
      CHECK(found_values[entry * kStride + kOut] == 77.0f);
    }
  }
}

}  // namespace

TEST_CASE("experts: a row takes those of its highest logits, in order of number [smoke]") {
  check_routes(8, 2, true);
  check_routes(60, 4, false);
  check_routes(128, 8, true);
  check_routes(512, 32, false);
  check_routes(3, 3, true);
  check_routes(1, 1, false);
}

TEST_CASE("experts: rows are grouped by expert, in order of row, in whole tiles [smoke]") {
  check_groups(1, 2, 8, 16);
  check_groups(37, 4, 60, 16);
  check_groups(700, 3, 5, 64);
}

TEST_CASE("experts: groups of long steps and of most experts") {
  check_groups(1500, 8, 128, 64);
  check_groups(300, 32, 512, 16);
}

TEST_CASE("experts: NaN is the lowest logit") {
  const std::vector<float> logits{NAN, 1.0f, NAN, -INFINITY};
  const DeviceBuffer<float> device_logits(logits), weights(2);
  const DeviceBuffer<int32_t> experts(2);
  run_kernel("route_experts", launch_route_experts({device_logits.data(), 4, 1, 4, 2, false,
                                                    experts.data(), weights.data()},
                                                   nullptr));
  CHECK(experts.download() == std::vector<int32_t>{1, 3});
}

TEST_CASE("experts: products have the bits of a row's own product [smoke]") {
  for (const TensorType stored : {TensorType::kF16, TensorType::kQ8_0, TensorType::kQ4_1}) {
    for (const GemmTile tile : {GemmTile::k16x64, GemmTile::k64x64, GemmTile::k128x128}) {
      check_expert_gemm(stored, FloatType::kF16, tile, 45);
    }
    check_expert_gemm(stored == TensorType::kF16 ? TensorType::kF32 : stored, FloatType::kF32,
                      GemmTile::k64x64, 45);
  }
  if (gpu_has(8, 0, "bf16 products")) {
    check_expert_gemm(TensorType::kQ4_0, FloatType::kBf16, GemmTile::k64x64, 45);
    check_expert_gemm(TensorType::kBF16, FloatType::kBf16, GemmTile::k16x64, 45);
  }
}

TEST_CASE("experts: products of several tiles for an expert") {
  check_expert_gemm(TensorType::kQ4_1, FloatType::kF16, GemmTile::k16x64, 200);
  check_expert_gemm(TensorType::kQ8_0, FloatType::kF16, GemmTile::k128x128, 400);
  check_expert_gemm(TensorType::kQ4_1, FloatType::kF32, GemmTile::k64x64, 200);
}

TEST_CASE("experts: outputs are added in order of expert, then what the shared one gave [smoke]") {
  constexpr int32_t kRows = 9, kUsed = 3, kCols = 1032;
  constexpr int64_t kStride = kCols + 8;
  std::mt19937 rng(5);
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    for (const int mode : {0, 1, 2}) {  // no shared expert, one, one with a gate
      CAPTURE(static_cast<int>(type));
      CAPTURE(mode);
      const std::vector<float> y =
          rounded(type, random_floats(static_cast<size_t>(kRows * kUsed * kStride), rng));
      const std::vector<float> weights = random_floats(kRows * kUsed, rng);
      const std::vector<float> gates = random_floats(kRows * 2, rng);
      const std::vector<float> old = random_floats(kRows * kStride, rng);
      const DeviceFloats device_y(type, y);
      const DeviceBuffer<float> device_weights(weights), device_gates(gates), out(old);
      run_kernel("expert_sum",
                 launch_expert_sum({.expert_out = device_y.data(),
                                    .type = type,
                                    .expert_stride = kStride,
                                    .weights = device_weights.data(),
                                    .has_shared = mode > 0,
                                    .gates = mode == 2 ? device_gates.data() : nullptr,
                                    .gate_stride = 2,
                                    .out = out.data(),
                                    .out_stride = kStride,
                                    .n_rows = kRows,
                                    .n_used = kUsed,
                                    .n_cols = kCols},
                                   nullptr));
      const std::vector<float> found = out.download();
      for (int32_t row = 0; row < kRows; ++row) {
        for (int64_t col = 0; col < kStride; ++col) {
          const float before = old[row * kStride + col];
          if (col >= kCols) {
            REQUIRE(found[row * kStride + col] == before);
            continue;
          }
          float acc = 0.0f;
          for (int32_t i = 0; i < kUsed; ++i) {
            acc = std::fma(weights[row * kUsed + i], y[(row * kUsed + i) * kStride + col], acc);
          }
          if (mode < 2) {
            REQUIRE(found[row * kStride + col] == (mode == 0 ? acc : std::fma(1.0f, before, acc)));
          } else {
            const double wanted = acc + before / (1.0 + std::exp(-double{gates[row * 2]}));
            REQUIRE(std::fabs(found[row * kStride + col] - wanted) <=
                    1e-6 * (std::fabs(before) + std::fabs(acc) + 1.0));
          }
        }
      }
    }
  }
}

TEST_CASE("experts: no rows is no launch; what is too many is refused") {
  CHECK(launch_route_experts({}, nullptr) == cudaSuccess);
  CHECK(launch_group_rows({}, nullptr) == cudaSuccess);
  CHECK(launch_expert_gemm({}, nullptr) == cudaSuccess);
  CHECK(launch_expert_sum({}, nullptr) == cudaSuccess);
  CHECK(launch_route_experts({.n_rows = 1, .n_experts = 513}, nullptr) == cudaErrorInvalidValue);
  CHECK(launch_route_experts({.n_rows = 1, .n_experts = 64, .n_used = 33}, nullptr) ==
        cudaErrorInvalidValue);
  CHECK(launch_group_rows({.n_rows = 1, .n_experts = 513}, nullptr) == cudaErrorInvalidValue);
}

}  // namespace prefold::cuda
