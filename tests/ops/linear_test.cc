#include "ops/linear.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/reference/dequantize.h"
#include "kernels/reference/gemm.h"
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
  std::vector<float> weights;  // (n_out, n_in)
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

std::vector<float> reference_out(const Problem& problem, const Activations& a, int32_t n_rows) {
  std::vector<float> out = a.out;
  const Case& shape = problem.shape;
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

void check_equals_reference(const Case& shape, std::span<const int32_t> row_counts, uint32_t seed) {
  std::mt19937 rng(seed);
  ThreadPool one(1);
  ThreadPool three(3);
  const Problem problem = make_problem(shape, three, rng);
  for (const int32_t n_rows : row_counts) {
    const Activations a = make_activations(shape, n_rows, rng);
    const std::vector<float> wanted = reference_out(problem, a, n_rows);
    for (const CpuKernels* kernels : available_cpu_kernels()) {
      CAPTURE(traits_of(shape.type).name);
      CAPTURE(kernels->isa);
      CAPTURE(shape.n_in);
      CAPTURE(shape.n_out);
      CAPTURE(n_rows);
      CHECK(same_bits(linear_out({&one, kernels}, problem, a, n_rows), wanted));
      CHECK(same_bits(linear_out({&three, kernels}, problem, a, n_rows), wanted));
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
  const Device device{&pool, &find_cpu_kernels("auto")};
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
