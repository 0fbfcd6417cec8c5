#include "ops/grouped_linear.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <vector>

#include "random_weights.h"

namespace prefold {
namespace {

// Matrices of one product; rows are grouped as `groups` says.
struct Problem {
  std::vector<Linear> gate, up;
  std::vector<int32_t> first{0}, matrix, rows;
  std::vector<float> x;
  int32_t n_rows = 0, n_in = 0, n_out = 0;

  RowGroups groups() const { return {first, matrix, rows}; }
};

Linear random_linear(TensorType type, int32_t n_out, int32_t n_in, bool bias, ThreadPool& pool,
                     std::mt19937& rng) {
  Linear linear;
  linear.weight =
      PackedMatrix(type, random_stored(type, int64_t{n_out} * n_in, rng), n_out, n_in, pool);
  if (bias) linear.bias = random_floats(static_cast<size_t>(n_out), rng);
  return linear;
}

Problem make_problem(TensorType gate_type, TensorType up_type, std::span<const int32_t> sizes,
                     ThreadPool& pool, std::mt19937& rng) {
  Problem p;
  p.n_rows = 40;
  p.n_in = 256;
  p.n_out = 53;
  p.x = random_floats(static_cast<size_t>(p.n_rows * p.n_in), rng);
  for (size_t g = 0; g < sizes.size(); ++g) {
    p.gate.push_back(random_linear(gate_type, p.n_out, p.n_in, g % 2 == 0, pool, rng));
    p.up.push_back(random_linear(up_type, p.n_out, p.n_in, false, pool, rng));
    if (sizes[g] == 0) continue;
    p.matrix.push_back(static_cast<int32_t>(g));
    p.first.push_back(p.first.back() + sizes[g]);
    for (int32_t i = 0; i < sizes[g]; ++i) {
      p.rows.push_back(static_cast<int32_t>(rng() % static_cast<uint32_t>(p.n_rows)));
    }
  }
  return p;
}

struct Outputs {
  std::vector<float> gate, up;
  bool operator==(const Outputs&) const = default;  // nothing here is NaN
};
Outputs old_outputs(const Problem& p) {
  const auto n = static_cast<size_t>(p.first.back()) * static_cast<size_t>(p.n_out);
  return {std::vector<float>(n, 0.5f), std::vector<float>(n, 0.5f)};
}

Outputs run_grouped(const Device& device, const Problem& p, bool add_to_out) {
  Outputs out = old_outputs(p);
  const int32_t n_places = p.first.back();
  std::vector<std::byte> scratch(grouped_linear_scratch_bytes(device, n_places, p.n_in));
  const GroupedPart parts[] = {{p.gate, {out.gate.data(), n_places, p.n_out, p.n_out}, add_to_out},
                               {p.up, {out.up.data(), n_places, p.n_out, p.n_out}, add_to_out}};
  grouped_linear(device, {p.x.data(), p.n_rows, p.n_in, p.n_in}, p.groups(), parts, scratch);
  return out;
}

// Every place by itself, by the op that the reference checks.
Outputs run_singly(const Device& device, const Problem& p, bool add_to_out) {
  Outputs out = old_outputs(p);
  std::vector<std::byte> scratch(linear_scratch_bytes(device, 1, p.n_in));
  for (size_t g = 0; g < p.matrix.size(); ++g) {
    for (int32_t place = p.first[g]; place < p.first[g + 1]; ++place) {
      const auto row = [&](std::vector<float>& y) {
        return Rows{y.data() + place * p.n_out, 1, p.n_out, p.n_out};
      };
      const Linear& gate = p.gate[p.matrix[g]];
      const Linear& up = p.up[p.matrix[g]];
      const LinearPart parts[] = {{&gate.weight, gate.bias, row(out.gate), add_to_out},
                                  {&up.weight, up.bias, row(out.up), add_to_out}};
      const int32_t from = p.rows.empty() ? place : p.rows[place];
      linear(device, {p.x.data() + from * p.n_in, 1, p.n_in, p.n_in}, parts, scratch);
    }
  }
  return out;
}

void check_equal(const Problem& p, ThreadPool& one, ThreadPool& three) {
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    for (const Precision precision : {Precision::kExact, Precision::kFast}) {
      for (const bool add_to_out : {false, true}) {
        CAPTURE(kernels->isa);
        CAPTURE(precision == Precision::kFast);
        CAPTURE(add_to_out);
        const Outputs wanted = run_singly({&one, kernels, precision}, p, add_to_out);
        CHECK(run_grouped({&one, kernels, precision}, p, add_to_out) == wanted);
        CHECK(run_grouped({&three, kernels, precision}, p, add_to_out) == wanted);
      }
    }
  }
}

TEST_CASE("grouped products have the bits of one product for each row, whatever the groups") {
  std::mt19937 rng(1);
  ThreadPool one(1), three(3);
  const std::vector<std::vector<int32_t>> group_sizes{
      {1}, {1, 0, 1, 1}, {300, 7, 1, 0, 23}, {70, 64, 65, 12, 12, 1}};
  for (const std::vector<int32_t>& sizes : group_sizes) {
    check_equal(make_problem(TensorType::kQ4_K, TensorType::kQ8_0, sizes, three, rng), one, three);
    check_equal(make_problem(TensorType::kF32, TensorType::kF16, sizes, three, rng), one, three);
    check_equal(make_problem(TensorType::kQ6_K, TensorType::kBF16, sizes, three, rng), one, three);
  }
}

TEST_CASE("grouped products read their rows in place where none are named") {
  std::mt19937 rng(2);
  ThreadPool one(1), three(3);
  const std::vector<int32_t> sizes{20, 13, 7};
  Problem p = make_problem(TensorType::kQ4_0, TensorType::kF32, sizes, three, rng);
  p.rows.clear();
  check_equal(p, one, three);
}

TEST_CASE("the matrices of a grouped product may differ in size and type, and be missing") {
  std::mt19937 rng(3);
  ThreadPool pool(2);
  const Device device{&pool, available_cpu_kernels().back(), Precision::kExact};
  std::vector<Linear> weights;
  weights.push_back(random_linear(TensorType::kF16, 8, 64, false, pool, rng));
  weights.push_back(random_linear(TensorType::kF32, 33, 16, true, pool, rng));
  weights.emplace_back();
  const std::vector<float> x = random_floats(6 * 64, rng);
  std::vector<float> out(6 * 40, -1.0f);
  const std::vector<int32_t> first{0, 2, 5, 6}, matrix{1, 0, 2};
  std::vector<std::byte> scratch(grouped_linear_scratch_bytes(device, 6, 64));
  const GroupedPart part{weights, {out.data(), 6, 40, 40}, false};
  grouped_linear(device, {x.data(), 6, 64, 64}, {first, matrix, {}}, {&part, 1}, scratch);
  std::vector<float> wanted(6 * 40, -1.0f);
  for (int32_t row = 0; row < 5; ++row) {
    const Linear& w = weights[row < 2 ? 1 : 0];
    const LinearPart single{
        &w.weight, w.bias, {wanted.data() + row * 40, 1, w.weight.n_out(), 40}, false};
    linear(device, {x.data() + row * 64, 1, w.weight.n_in(), 64}, {&single, 1}, scratch);
  }
  CHECK(out == wanted);
}

TEST_CASE("the matrices of a part may read from a later value of their rows on") {
  std::mt19937 rng(4);
  ThreadPool pool(2);
  const Device device{&pool, available_cpu_kernels().back(), Precision::kFast};  // F32 is exact too
  std::vector<Linear> weights;
  weights.emplace_back();  // the first two rows and the last one stay as they are
  weights.push_back(random_linear(TensorType::kF32, 21, 5, false, pool, rng));
  const std::vector<float> x = random_floats(7 * 32, rng);
  std::vector<float> out(7 * 21, 0.25f), wanted = out;
  const std::vector<int32_t> first{0, 2, 6, 7}, matrix{0, 1, 0};
  std::vector<std::byte> scratch(
      grouped_linear_scratch_bytes(device, 7, 32, GroupedRows::kInPlace));
  const GroupedPart part{weights, {out.data(), 7, 21, 21}, true, 27};
  grouped_linear(device, {x.data(), 7, 32, 32}, {first, matrix, {}}, {&part, 1}, scratch);
  const LinearPart single{&weights[1].weight, {}, {wanted.data() + 2 * 21, 4, 21, 21}, true};
  std::vector<std::byte> own_scratch(linear_scratch_bytes(device, 4, 5));
  linear(device, {x.data() + 2 * 32 + 27, 4, 5, 32}, {&single, 1}, own_scratch);
  CHECK(out == wanted);
}

}  // namespace
}  // namespace prefold
