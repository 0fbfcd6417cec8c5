#include "ops/linear.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/panel.h"
#include "kernels/reference/dequantize.h"
#include "kernels/reference/gemm.h"
#include "kernels/reference/gemm_int8.h"
#include "random_weights.h"

namespace prefold {
namespace {

struct Case {
  TensorType type;
  int32_t n_in;
  int32_t n_out;
  bool bias = false;
  bool add_to_out = false;
};

struct Problem {
  Case shape;
  PackedMatrix packed;
  std::vector<float> weights;                   // (n_out, n_in)
  std::vector<reference::Quantised> quantised;  // the same, of quantised types
  std::vector<float> bias;
};

Problem make_problem(const Case& shape, ThreadPool& pool, std::mt19937& rng) {
  Problem problem;
  problem.shape = shape;
  const int64_t n = int64_t{shape.n_in} * shape.n_out;
  const std::vector<std::byte> stored = random_stored(shape.type, n, rng);
  problem.packed = PackedMatrix(shape.type, stored, shape.n_out, shape.n_in, pool);
  problem.weights.resize(static_cast<size_t>(n));
  reference::dequantize(shape.type, stored, problem.weights);
  if (panel_format(shape.type).float_bytes == 0) {
    problem.quantised.resize(static_cast<size_t>(n));
    reference::unpack(shape.type, stored, problem.quantised);
  }
  if (shape.bias) problem.bias = random_floats(static_cast<size_t>(shape.n_out), rng);
  return problem;
}

// Rows lie apart, and what lies between them must stay as it was.
constexpr int32_t kGap = 3;

struct Activations {
  std::vector<float> x, out;
  int64_t x_stride, out_stride;
};

Activations make_activations(const Case& shape, int32_t n_rows, std::mt19937& rng) {
  Activations a;
  a.x_stride = shape.n_in + kGap;
  a.out_stride = shape.n_out + kGap;
  a.x = random_floats(static_cast<size_t>(n_rows * a.x_stride), rng);
  a.out = random_floats(static_cast<size_t>(n_rows * a.out_stride), rng);
  return a;
}

LinearPart part_of(const Problem& problem, std::vector<float>& out, int32_t n_rows,
                   int64_t stride) {
  return {&problem.packed,
          problem.bias,
          {out.data(), n_rows, problem.shape.n_out, stride},
          problem.shape.add_to_out};
}

std::vector<float> reference_out(const Problem& problem, const Activations& a, int32_t n_rows,
                                 Precision precision = Precision::kExact) {
  std::vector<float> out = a.out;
  const Case& shape = problem.shape;
  if (precision == Precision::kFast && !problem.quantised.empty()) {
    const PanelFormat format = panel_format(shape.type);
    reference::gemm_int8(a.x.data(), a.x_stride, n_rows, problem.quantised.data(), shape.n_out,
                         shape.n_in, format.group_k, format.has_min,
                         shape.bias ? problem.bias.data() : nullptr, shape.add_to_out, out.data(),
                         a.out_stride);
    return out;
  }
  reference::gemm(a.x.data(), a.x_stride, n_rows, problem.weights.data(), shape.n_out, shape.n_in,
                  shape.bias ? problem.bias.data() : nullptr, shape.add_to_out, out.data(),
                  a.out_stride);
  return out;
}

std::vector<float> linear_out(const Device& device, const Problem& problem, const Activations& a,
                              int32_t n_rows) {
  std::vector<float> out = a.out;
  std::vector<std::byte> scratch(linear_scratch_bytes(device, n_rows, problem.shape.n_in));
  const LinearPart part = part_of(problem, out, n_rows, a.out_stride);
  linear(device, {a.x.data(), n_rows, problem.shape.n_in, a.x_stride}, {&part, 1}, scratch);
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_equals_reference(const Case& shape, std::span<const int32_t> row_counts, uint32_t seed,
                            Precision precision = Precision::kExact) {
  std::mt19937 rng(seed);
  ThreadPool one(1);
  ThreadPool three(3);
  const Problem problem = make_problem(shape, three, rng);
  for (const int32_t n_rows : row_counts) {
    const Activations a = make_activations(shape, n_rows, rng);
    const std::vector<float> wanted = reference_out(problem, a, n_rows, precision);
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(traits_of(shape.type).name);
      CAPTURE(kernels->isa);
      CAPTURE(shape.n_in);
      CAPTURE(shape.n_out);
      CAPTURE(n_rows);
      CHECK(same_bits(linear_out({&one, kernels, precision}, problem, a, n_rows), wanted));
      CHECK(same_bits(linear_out({&three, kernels, precision}, problem, a, n_rows), wanted));
    }
  }
}

TEST_CASE("linear equals the chain of fused multiply-adds bit for bit, every weight type") {
  const std::vector<int32_t> rows{1, 2, 3, 4, 5, 8, 11, 13, 16, 33, 65};
  for (const TensorType type : kAllTensorTypes) {
    check_equals_reference({type, 512, 53, true, true}, rows, 1);
  }
}

TEST_CASE("every number of rows gives the same bits as one row at a time") {
  std::vector<int32_t> rows;
  for (int32_t n = 1; n <= 40; ++n) rows.push_back(n);
  check_equals_reference({TensorType::kQ4_1, 64, 48}, rows, 2);
  check_equals_reference({TensorType::kF16, 37, 33, true}, rows, 2);
  check_equals_reference({TensorType::kQ6_K, 256, 17}, rows, 2);
}

TEST_CASE("several blocks of k and of rows give the same bits") {
  const std::vector<int32_t> rows{63, 64, 65, 300};
  check_equals_reference({TensorType::kQ4_1, 1056, 40, false, true}, rows, 3);
  const std::vector<int32_t> many_rows{1100};
  check_equals_reference({TensorType::kQ8_0, 352, 20, true, false}, many_rows, 3);
}

TEST_CASE("fast linear equals exact sums of 8-bit products bit for bit, every weight type") {
  const std::vector<int32_t> rows{1, 2, 3, 4, 5, 6, 7, 11, 13, 16, 33, 65};
  for (const TensorType type : kAllTensorTypes) {
    check_equals_reference({type, 512, 53, true, true}, rows, 1, Precision::kFast);
  }
}

TEST_CASE("fast linear: every number of rows, several blocks of k and of rows") {
  std::vector<int32_t> rows;
  for (int32_t n = 1; n <= 40; ++n) rows.push_back(n);
  check_equals_reference({TensorType::kQ4_1, 64, 48}, rows, 2, Precision::kFast);
  check_equals_reference({TensorType::kQ8_0, 96, 33, true}, rows, 2, Precision::kFast);
  check_equals_reference({TensorType::kQ6_K, 256, 17}, rows, 2, Precision::kFast);
  const std::vector<int32_t> many_rows{64, 300, 1100};
  check_equals_reference({TensorType::kQ4_0, 1056, 40, false, true}, many_rows, 3,
                         Precision::kFast);
  check_equals_reference({TensorType::kQ2_K, 1024, 150}, many_rows, 3, Precision::kFast);
}

TEST_CASE("fast linear: the largest quants and inputs do not saturate") {
  ThreadPool pool(1);
  for (const TensorType type : kAllTensorTypes) {
    if (panel_format(type).float_bytes > 0) continue;
    for (const std::byte fill : {std::byte{0xff}, std::byte{0x80}, std::byte{0x00}}) {
      const Case shape{type, 256, 32};
      std::mt19937 rng(9);
      std::vector<std::byte> stored = random_stored(type, 256 * 32, rng);
      const size_t block_bytes = static_cast<size_t>(traits_of(type).block_bytes);
      const ScaleOffsets at = scale_offsets(type);
      for (size_t i = 0; i < stored.size(); ++i) {
        const auto offset = static_cast<int32_t>(i % block_bytes);
        const auto inside = [&](int32_t begin) { return offset >= begin && offset < begin + 2; };
        const bool is_zero_point = has_zero_point(type) && offset == 2;
        if (!(at.first >= 0 && inside(at.first)) && !(at.second >= 0 && inside(at.second)) &&
            !is_zero_point) {
          stored[i] = fill;
        }
      }
      Problem problem;
      problem.shape = shape;
      problem.packed = PackedMatrix(type, stored, shape.n_out, shape.n_in, pool);
      problem.quantised.resize(256 * 32);
      reference::unpack(type, stored, problem.quantised);
      Activations a = make_activations(shape, 7, rng);
      for (size_t i = 0; i < a.x.size(); ++i) a.x[i] = i / 4 % 3 == 0 ? -2.5f : 2.5f;
      const std::vector<float> wanted = reference_out(problem, a, 7, Precision::kFast);
      for (const CpuKernels* kernels : available_cpu_kernels()) {
        CAPTURE(traits_of(type).name);
        CAPTURE(kernels->isa);
        CHECK(same_bits(linear_out({&pool, kernels, Precision::kFast}, problem, a, 7), wanted));
      }
    }
  }
}

TEST_CASE("fast linear: inputs of zero, tiny, huge, infinite and NaN groups") {
  std::mt19937 rng(10);
  ThreadPool pool(1);
  const Problem problem = make_problem({TensorType::kQ4_1, 192, 16}, pool, rng);
  Activations a = make_activations(problem.shape, 3, rng);
  for (size_t k = 0; k < 32; ++k) {
    a.x[k] = 0.0f;
    a.x[32 + k] *= 1e-36f;
    a.x[64 + k] *= 1e30f;
  }
  const std::vector<float> wanted = reference_out(problem, a, 3, Precision::kFast);
  std::vector<float> strange = a.x;
  strange[70] = INFINITY;
  strange[100] = NAN;
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    CAPTURE(kernels->isa);
    const Device device{&pool, kernels, Precision::kFast};
    CHECK(same_bits(linear_out(device, problem, a, 3), wanted));
    Activations b = a;
    b.x = strange;
    const std::vector<float> out = linear_out(device, problem, b, 3);
    CHECK(!std::isfinite(out[0]));
    CHECK(std::equal(out.begin() + 16, out.end(), wanted.begin() + 16));  // the other rows
  }
}

// |x - scale q| is at most scale / 2 with scale = max|x| / 127 of its group, so an output is off by
// at most the sum of |w| scale / 2, and a little for the f32 sums.
TEST_CASE("fast linear is as close to exact as inputs of 8 bits allow") {
  std::mt19937 rng(11);
  ThreadPool pool(1);
  const Device device{&pool, &find_cpu_kernels("auto"), Precision::kFast};
  for (const TensorType type : kAllTensorTypes) {
    const Problem problem = make_problem({type, 512, 24}, pool, rng);
    const Activations a = make_activations(problem.shape, 9, rng);
    const std::vector<float> exact = reference_out(problem, a, 9);
    const std::vector<float> fast = linear_out(device, problem, a, 9);
    double worst = 0.0;
    for (int64_t row = 0; row < 9; ++row) {
      for (int64_t col = 0; col < 24; ++col) {
        double bound = 0.0;
        for (int64_t k = 0; k < 512; k += 32) {
          const float* x = &a.x[static_cast<size_t>(row * a.x_stride + k)];
          const float* w = &problem.weights[static_cast<size_t>(col * 512 + k)];
          double largest = 0.0, sum = 0.0;
          for (int i = 0; i < 32; ++i) largest = std::max(largest, std::abs(double{x[i]}));
          for (int i = 0; i < 32; ++i) sum += std::abs(double{w[i]});
          bound += sum * largest * (0.5 / 127 + 1e-5);
        }
        const auto at = static_cast<size_t>(row * a.out_stride + col);
        worst = std::max(worst, std::abs(double{fast[at]} - double{exact[at]}) / bound);
      }
    }
    CAPTURE(traits_of(type).name);
    CHECK(worst < 1.0);
    CHECK((worst > 0.0) == (panel_format(type).float_bytes == 0));
  }
}

TEST_CASE("plain float weights may have any number of inputs") {
  const std::vector<int32_t> rows{1, 7, 36};
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    for (const int32_t n_in : {1, 3, 31, 33, 419}) {
      check_equals_reference({type, n_in, 19, true, false}, rows, 4);
    }
  }
}

TEST_CASE("inputs whose rows lie a power of two apart give the same bits") {
  std::mt19937 rng(5);
  ThreadPool pool(2);
  const Problem problem = make_problem({TensorType::kQ4_K, 1024, 64}, pool, rng);
  const Activations apart = make_activations(problem.shape, 70, rng);
  Activations dense = apart;
  dense.x_stride = 1024;
  for (int64_t r = 0; r < 70; ++r) {
    std::memmove(&dense.x[static_cast<size_t>(r * 1024)],
                 &apart.x[static_cast<size_t>(r * apart.x_stride)], 1024 * sizeof(float));
  }
  const Device device{&pool, &find_cpu_kernels("auto")};
  CHECK(same_bits(linear_out(device, problem, dense, 70), linear_out(device, problem, apart, 70)));
}

TEST_CASE("several matrices of different types in one call equal separate calls") {
  std::mt19937 rng(6);
  ThreadPool pool(2);
  for (const Precision precision : {Precision::kExact, Precision::kFast}) {
    const Device device{&pool, &find_cpu_kernels("auto"), precision};
    const Problem q = make_problem({TensorType::kQ4_K, 512, 96, true}, pool, rng);
    const Problem k = make_problem({TensorType::kQ6_K, 512, 33}, pool, rng);
    const Problem v = make_problem({TensorType::kF32, 512, 7, false, true}, pool, rng);
    for (const int32_t n_rows : {1, 50}) {
      const Activations aq = make_activations(q.shape, n_rows, rng);
      Activations ak = make_activations(k.shape, n_rows, rng);
      Activations av = make_activations(v.shape, n_rows, rng);
      ak.x = av.x = aq.x;
      std::vector<float> out_q = aq.out, out_k = ak.out, out_v = av.out;
      const LinearPart parts[] = {part_of(q, out_q, n_rows, aq.out_stride),
                                  part_of(k, out_k, n_rows, ak.out_stride),
                                  part_of(v, out_v, n_rows, av.out_stride)};
      std::vector<std::byte> scratch(linear_scratch_bytes(device, n_rows, 512));
      linear(device, {aq.x.data(), n_rows, 512, aq.x_stride}, parts, scratch);
      CHECK(same_bits(out_q, linear_out(device, q, aq, n_rows)));
      CHECK(same_bits(out_k, linear_out(device, k, ak, n_rows)));
      CHECK(same_bits(out_v, linear_out(device, v, av, n_rows)));
    }
  }
}

TEST_CASE("tiles hold every output of linear once; the kept rows are written as well") {
  std::mt19937 rng(12);
  ThreadPool three(3);
  for (const Precision precision : {Precision::kExact, Precision::kFast}) {
    for (const int32_t n_out : {5, 256, 1000}) {
      const Problem problem = make_problem({TensorType::kQ4_1, 96, n_out}, three, rng);
      for (const int32_t n_rows : {1, 3, 70, 300}) {
        const Activations a = make_activations(problem.shape, n_rows, rng);
        const ConstRows x{a.x.data(), n_rows, 96, a.x_stride};
        for (const CpuKernels* kernels : available_cpu_kernels()) {
          const Device device{&three, kernels, precision};
          const std::vector<float> wanted = linear_out(device, problem, a, n_rows);
          for (const int32_t n_kept : {0, n_rows / 2, n_rows}) {
            CAPTURE(kernels->isa);
            CAPTURE(n_out);
            CAPTURE(n_rows);
            CAPTURE(n_kept);
            std::vector<float> kept = a.out, seen = a.out;
            std::vector<int32_t> n_seen(seen.size());
            std::atomic<int32_t> n_odd = 0;
            std::vector<std::byte> scratch(linear_tiles_scratch_bytes(device, n_rows, 96));
            linear_tiles(device, x, problem.packed, {}, {kept.data(), n_kept, n_out, a.out_stride},
                         scratch, [&](const LinearTile& tile, int32_t) {
                           n_odd += tile.col % kTileCols != 0;
                           n_odd += tile.out.n_cols != std::min(n_out - tile.col, kTileCols);
                           for (int64_t r = 0; r < tile.out.n_rows; ++r) {
                             for (int64_t c = 0; c < tile.out.n_cols; ++c) {
                               const int64_t at = (tile.row + r) * a.out_stride + tile.col + c;
                               seen[static_cast<size_t>(at)] = tile.out.row(r)[c];
                               ++n_seen[static_cast<size_t>(at)];
                             }
                           }
                         });
            CHECK(n_odd == 0);
            CHECK(same_bits(seen, wanted));
            CHECK(std::count(n_seen.begin(), n_seen.end(), 1) == int64_t{n_rows} * n_out);
            const auto end = static_cast<int64_t>(n_kept) * a.out_stride;
            CHECK(std::equal(kept.begin(), kept.begin() + end, wanted.begin()));
            CHECK(std::equal(kept.begin() + end, kept.end(), a.out.begin() + end));
          }
        }
      }
    }
  }
}

TEST_CASE(
    "a rule's bias, scale and cap are in the tiles and in the kept rows before fn sees them") {
  std::mt19937 rng(13);
  ThreadPool three(3);
  const Problem problem = make_problem({TensorType::kQ4_1, 96, 1000, true}, three, rng);
  constexpr int32_t kRows = 70, kKept = 40;
  const Activations a = make_activations(problem.shape, kRows, rng);
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    CAPTURE(kernels->isa);
    const Device device{&three, kernels};
    std::vector<float> wanted = linear_out(device, problem, a, kRows);
    for (int64_t row = 0; row < kRows; ++row) {
      float* const values = wanted.data() + row * a.out_stride;
      kernels->elementwise->scale(values, 0.5f, 1000);
      kernels->elementwise->softcap(values, 2.0f, 1000);
    }
    std::vector<float> kept = a.out, seen = a.out;
    std::vector<std::byte> scratch(linear_tiles_scratch_bytes(device, kRows, 96));
    linear_tiles(device, {a.x.data(), kRows, 96, a.x_stride}, problem.packed,
                 {problem.bias, 0.5f, 2.0f}, {kept.data(), kKept, 1000, a.out_stride}, scratch,
                 [&](const LinearTile& tile, int32_t) {
                   for (int64_t r = 0; r < tile.out.n_rows; ++r) {
                     std::copy_n(tile.out.row(r), tile.out.n_cols,
                                 seen.begin() + (tile.row + r) * a.out_stride + tile.col);
                   }
                 });
    CHECK(same_bits(seen, wanted));
    CHECK(std::equal(kept.begin(), kept.begin() + kKept * a.out_stride, wanted.begin()));
  }
}

TEST_CASE("no rows is no work") {
  std::mt19937 rng(7);
  ThreadPool pool(1);
  const Device device{&pool, &find_cpu_kernels("auto")};
  const Problem problem = make_problem({TensorType::kQ8_0, 64, 32}, pool, rng);
  const Activations a = make_activations(problem.shape, 0, rng);
  CHECK(linear_out(device, problem, a, 0).empty());
}

TEST_CASE("gather_rows gives the rows of the stored matrix") {
  std::mt19937 rng(8);
  ThreadPool pool(2);
  for (const TensorType type : kAllTensorTypes) {
    const Case shape{type, 256, 37};
    const Problem problem = make_problem(shape, pool, rng);
    const std::vector<int32_t> ids{36, 0, 15, 16, 16, 5};
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(traits_of(type).name);
      CAPTURE(kernels->isa);
      std::vector<float> out(ids.size() * 256);
      gather_rows({&pool, kernels}, problem.packed, ids,
                  {out.data(), static_cast<int32_t>(ids.size()), 256, 256});
      for (size_t i = 0; i < ids.size(); ++i) {
        const auto wanted = problem.weights.begin() + ids[i] * 256;
        CHECK(std::equal(wanted, wanted + 256, out.begin() + static_cast<int64_t>(i) * 256));
      }
    }
  }
}

}  // namespace
}  // namespace prefold
