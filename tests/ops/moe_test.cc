#include "ops/moe.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "random_weights.h"

namespace prefold {
namespace {

struct Routed {
  std::vector<int32_t> experts;
  std::vector<double> weights;
};

// The definition in double: of all experts' softmax the highest, ties to the lower expert.
Routed reference_route(std::span<const float> logits, int32_t n_used, bool normalise) {
  std::vector<int32_t> by_logit(logits.size());
  std::iota(by_logit.begin(), by_logit.end(), 0);
  std::stable_sort(by_logit.begin(), by_logit.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  Routed routed;
  routed.experts.assign(by_logit.begin(), by_logit.begin() + n_used);
  std::sort(routed.experts.begin(), routed.experts.end());
  double sum = 0.0, taken = 0.0;
  const double largest = logits[by_logit[0]];
  for (const float logit : logits) sum += std::exp(logit - largest);
  for (const int32_t e : routed.experts) {
    routed.weights.push_back(std::exp(logits[e] - largest) / sum);
    taken += routed.weights.back();
  }
  for (double& weight : routed.weights) weight /= normalise ? taken : 1.0;
  return routed;
}

TEST_CASE("a row takes the experts of its highest logits, with softmax weights") {
  std::mt19937 rng(1);
  ThreadPool pool(3);
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    const Device device{&pool, kernels, Precision::kExact};
    for (const int32_t n_experts : {4, 16, 60, 128}) {
      for (const bool normalise : {false, true}) {
        constexpr int32_t kRows = 9, kUsed = 4;
        ExpertRoutes routes = allocate_routes(kRows, n_experts, kUsed);
        const std::vector<float> logits =
            random_floats(static_cast<size_t>(kRows * n_experts), rng);
        std::vector<float> overwritten = logits;
        route(device, {overwritten.data(), kRows, n_experts, n_experts}, normalise, routes);
        for (int32_t row = 0; row < kRows; ++row) {
          const Routed wanted = reference_route(
              std::span(logits).subspan(static_cast<size_t>(row * n_experts), n_experts), kUsed,
              normalise);
          for (int32_t i = 0; i < kUsed; ++i) {
            CHECK(routes.experts[row * kUsed + i] == wanted.experts[i]);
            CHECK(routes.weights[row * kUsed + i] ==
                  doctest::Approx(wanted.weights[i]).epsilon(1e-6));
          }
        }
      }
    }
  }
}

TEST_CASE("of equal logits the lower experts are taken, and no logit makes routing fail") {
  ThreadPool pool(1);
  const Device device{&pool, available_cpu_kernels().back(), Precision::kExact};
  ExpertRoutes routes = allocate_routes(3, 6, 2);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> logits{1, 2,    2,   2,   0,   2,  // a tie of four
                            0, 0,    0,   0,   0,   0,  // of all
                            5, -inf, nan, inf, nan, -inf};
  route(device, {logits.data(), 3, 6, 6}, true, routes);
  CHECK(std::vector<int32_t>(routes.experts.begin(), routes.experts.begin() + 4) ==
        std::vector<int32_t>{1, 2, 0, 1});
  CHECK(routes.weights[0] == 0.5f);
  CHECK(routes.weights[3] == 0.5f);
  CHECK(routes.experts[4] == 0);
  CHECK(routes.experts[5] == 3);
}

TEST_CASE("groups hold each row once for each of its experts, large groups first") {
  std::mt19937 rng(2);
  ThreadPool pool(1);
  const Device device{&pool, available_cpu_kernels().back(), Precision::kExact};
  constexpr int32_t kRows = 50, kExperts = 12, kUsed = 3;
  ExpertRoutes routes = allocate_routes(kRows, kExperts, kUsed);
  std::vector<float> logits = random_floats(kRows * kExperts, rng);
  for (int32_t row = 0; row < kRows; ++row) logits[row * kExperts + 7] = -9.0f;  // no row's
  route(device, {logits.data(), kRows, kExperts, kExperts}, true, routes);
  const int32_t* const rows_at = routes.rows.data();
  for (const MoeGrouping grouping : {MoeGrouping::kGrouped, MoeGrouping::kOff}) {
    group_rows(grouping, kRows, routes);
    const RowGroups& groups = routes.groups;
    CHECK(groups.n_places() == kRows * kUsed);
    CHECK(groups.rows.data() == rows_at);  // nothing was allocated anew
    CHECK(groups.n_groups() == (grouping == MoeGrouping::kOff ? kRows * kUsed : kExperts - 1));
    std::vector<int32_t> expert_at(static_cast<size_t>(groups.n_places()));
    for (int32_t g = 0; g < groups.n_groups(); ++g) {
      const int32_t size = groups.first[g + 1] - groups.first[g];
      CHECK(size >= 1);
      if (g > 0) CHECK(size <= groups.first[g] - groups.first[g - 1]);
      for (int32_t p = groups.first[g]; p < groups.first[g + 1]; ++p) {
        expert_at[p] = groups.matrix[g];
      }
    }
    std::vector<bool> seen(expert_at.size());
    for (int32_t i = 0; i < kRows * kUsed; ++i) {
      const int32_t place = routes.places[i];
      CHECK(!seen[place]);
      seen[place] = true;
      CHECK(groups.rows[place] == i / kUsed);
      CHECK(expert_at[place] == routes.experts[i]);
    }
  }
}

TEST_CASE("outputs of experts are added in order of expert, then the shared expert's") {
  std::mt19937 rng(3);
  ThreadPool pool(2);
  constexpr int32_t kRows = 7, kExperts = 5, kUsed = 2, kCols = 37;
  ExpertRoutes routes = allocate_routes(kRows, kExperts, kUsed);
  std::vector<float> logits = random_floats(kRows * kExperts, rng);
  route({&pool, available_cpu_kernels().front(), Precision::kExact},
        {logits.data(), kRows, kExperts, kExperts}, false, routes);
  group_rows(MoeGrouping::kGrouped, kRows, routes);
  const std::vector<float> expert_out = random_floats(kRows * kUsed * kCols, rng);
  const std::vector<float> shared_out = random_floats(kRows * kCols, rng);
  const std::vector<float> gates = random_floats(kRows, rng);
  for (const CpuKernels* kernels : available_cpu_kernels()) {
    for (const int32_t shared : {0, 1, 2}) {  // none, without a gate, with one
      std::vector<float> out(kRows * kCols);
      SharedExpert with;
      if (shared > 0) with.out = {shared_out.data(), kRows, kCols, kCols};
      if (shared > 1) with.gates = {gates.data(), kRows, 1, 1};
      combine_experts({&pool, kernels, Precision::kExact}, routes,
                      {expert_out.data(), kRows * kUsed, kCols, kCols}, with,
                      {out.data(), kRows, kCols, kCols});
      for (int32_t row = 0; row < kRows; ++row) {
        const float gate = kernels->moe->sigmoid(gates[row]);
        CHECK(gate == doctest::Approx(1.0 / (1.0 + std::exp(-double{gates[row]}))));
        for (int32_t col = 0; col < kCols; ++col) {
          float acc = 0.0f;
          for (int32_t i = row * kUsed; i < (row + 1) * kUsed; ++i) {
            acc = std::fma(routes.weights[i], expert_out[routes.places[i] * kCols + col], acc);
          }
          const float y = shared_out[row * kCols + col];
          if (shared > 0) acc = std::fma(shared > 1 ? gate : 1.0f, y, acc);
          CHECK(out[row * kCols + col] == acc);
        }
      }
    }
  }
}

}  // namespace
}  // namespace prefold
