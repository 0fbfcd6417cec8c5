#include "kernels/cuda/lora.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kIn = 1184;  // more than a block's threads read at once, and no multiple of that
constexpr int32_t kOut[] = {520, 136};
constexpr int32_t kRanks[] = {16, 8, 0};  // by adapter: the last one leaves all alone
constexpr int32_t kMaxRank = 16;
constexpr int32_t kStride = 672;  // of out: both parts side by side, and a gap

std::vector<float> random_values(size_t n, float deviation, std::mt19937& rng) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = normal(rng);
  return values;
}

// Matrices of two parts by three adapters, and what they make of rows.
class Problem {
 public:
  explicit Problem(FloatType type, int32_t n_rows)
      : type_(type), n_rows_(n_rows), rng_(static_cast<uint32_t>(n_rows)) {
    x_ = rounded(type, random_values(size_t(n_rows) * kIn, 1.0f, rng_));
    y_ = rounded(type, random_values(size_t(n_rows) * kStride, 1.0f, rng_));
    for (const int32_t n_out : kOut) {
      for (const int32_t rank : kRanks) {
        a_.push_back(random_values(size_t(rank) * kIn, 0.03f, rng_));
        b_.push_back(random_values(size_t(rank) * n_out, 0.3f, rng_));
      }
    }
  }

  // The bytes of y behind both launches.
  std::vector<uint8_t> run(const std::vector<LoraTile>& tiles) const {
    const DeviceFloats x(type_, x_), y(type_, y_);
    std::vector<DeviceBuffer<float>> values;
    std::vector<LoraDeviceMatrix> matrices;
    for (size_t i = 0; i < a_.size(); ++i) {
      if (a_[i].empty()) {
        matrices.push_back({});
        continue;
      }
      values.emplace_back(a_[i]);
      values.emplace_back(b_[i]);
      matrices.push_back({values[values.size() - 2].data(), values.back().data(), kRanks[i % 3]});
    }
    const DeviceBuffer<LoraDeviceMatrix> table(matrices);
    const DeviceBuffer<LoraTile> device_tiles(tiles);
    const DeviceBuffer<int32_t> n_tiles(std::vector<int32_t>{static_cast<int32_t>(tiles.size())});
    const DeviceBuffer<float> shrunk(size_t(n_rows_) * kMaxLoraDeviceParts * kMaxRank);
    LoraArgs args;
    args.type = args.out_type = type_;
    args.x = x.data();
    args.x_stride = kIn;
    args.n_in = kIn;
    args.n_parts = 2;
    args.parts[0] = {table.data(), y.data(), kStride, kOut[0]};
    args.parts[1] = {table.data() + 3, static_cast<char*>(y.data()) + kOut[0] * float_bytes(type_),
                     kStride, kOut[1]};
    args.shrunk = shrunk.data();
    args.max_rank = kMaxRank;
    args.tiles = device_tiles.data();
    args.n_tiles = n_tiles.data();
    args.max_tiles = static_cast<int32_t>(tiles.size()) + 3;  // some blocks have none
    run_kernel("lora_shrink", launch_lora_shrink(args, nullptr));
    run_kernel("lora_expand", launch_lora_expand(args, nullptr));
    return y.download_bytes();
  }

  void check(const std::vector<LoraTile>& tiles, const std::vector<uint8_t>& got) const {
    std::vector<float> wanted = y_;
    for (const LoraTile& tile : tiles) {
      for (int32_t row = tile.first_row; row < tile.first_row + tile.n_rows; ++row) {
        add_row(row, tile.adapter, wanted);
      }
    }
    const float tolerance = type_ == FloatType::kF32   ? 1e-4f
                            : type_ == FloatType::kF16 ? 4e-3f
                                                       : 4e-2f;
    CHECK(largest_difference(decode_floats(type_, got), wanted) < tolerance);
  }

 private:
  void add_row(int32_t row, int32_t adapter, std::vector<float>& y) const {
    const int32_t rank = kRanks[adapter];
    for (int32_t part = 0; part < 2; ++part) {
      const std::vector<float>& a = a_[size_t(3 * part + adapter)];
      const std::vector<float>& b = b_[size_t(3 * part + adapter)];
      for (int32_t r = 0; r < rank; ++r) {
        double t = 0;
        for (int32_t k = 0; k < kIn; ++k) {
          t += double{a[size_t(r) * kIn + k]} * x_[size_t(row) * kIn + k];
        }
        float* const out = y.data() + size_t(row) * kStride + (part == 0 ? 0 : kOut[0]);
        for (int32_t c = 0; c < kOut[part]; ++c) {
          out[c] += static_cast<float>(t * b[size_t(r) * kOut[part] + c]);
        }
      }
    }
  }

  FloatType type_;
  int32_t n_rows_;
  std::mt19937 rng_;
  std::vector<float> x_, y_;
  std::vector<std::vector<float>> a_, b_;  // by part and adapter
};

}  // namespace

TEST_CASE("lora: rows get what their adapter adds, whatever tiles they are in [smoke]") {
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    CAPTURE(static_cast<int>(type));
    const Problem problem(type, 21);
    // Rows 1 to 11 and 17 to 19, rows 13 and 14, rows 15 and 16; the others have none.
    const std::vector<LoraTile> tiles{{1, 8, 0}, {9, 3, 0}, {13, 2, 1}, {15, 2, 2}, {17, 3, 0}};
    const std::vector<uint8_t> got = problem.run(tiles);
    problem.check(tiles, got);
    std::vector<LoraTile> single;
    for (const LoraTile& tile : tiles) {
      for (int32_t i = 0; i < tile.n_rows; ++i)
        single.push_back({tile.first_row + i, 1, tile.adapter});
    }
    CHECK(problem.run(single) == got);
  }
}

TEST_CASE("lora: no tiles is no launch") {
  CHECK(launch_lora_shrink({}, nullptr) == cudaSuccess);
  CHECK(launch_lora_expand({}, nullptr) == cudaSuccess);
}

}  // namespace prefold::cuda
