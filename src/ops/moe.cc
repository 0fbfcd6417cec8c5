#include "ops/moe.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace prefold {
namespace {

constexpr int64_t kBlockRows = 4;

template <typename Fn>
void for_each_row(const Device& device, int32_t n_rows, Fn fn) {
  device.pool->parallel_for((n_rows + kBlockRows - 1) / kBlockRows, [&](int64_t block, int32_t) {
    const int64_t end = std::min<int64_t>((block + 1) * kBlockRows, n_rows);
    for (int64_t row = block * kBlockRows; row < end; ++row) fn(row);
  });
}

// The experts of the n_used highest logits, ascending. Neither NaN nor infinity makes it fail.
void take_highest(std::span<const float> logits, std::span<int32_t> experts) {
  const auto taken_end = experts.end();
  for (auto next = experts.begin(); next != taken_end; ++next) {
    int32_t best = -1;
    for (int32_t e = 0; e < static_cast<int32_t>(logits.size()); ++e) {
      if (best >= 0 && !(logits[e] > logits[best])) continue;
      if (std::find(experts.begin(), next, e) == next) best = e;
    }
    *next = best;
  }
  std::sort(experts.begin(), taken_end);
}

// A group for each expert that has rows: those of most rows first.
void group_by_expert(int32_t n_places, ExpertRoutes& r) {
  std::fill(r.sizes.begin(), r.sizes.end(), 0);
  for (int32_t i = 0; i < n_places; ++i) ++r.sizes[r.experts[i]];
  std::iota(r.by_size.begin(), r.by_size.end(), 0);
  std::sort(r.by_size.begin(), r.by_size.end(), [&](int32_t a, int32_t b) {
    return r.sizes[a] != r.sizes[b] ? r.sizes[a] > r.sizes[b] : a < b;
  });
  r.first.assign(1, 0);
  r.matrix.clear();
  for (const int32_t expert : r.by_size) {
    const int32_t size = r.sizes[expert];
    if (size == 0) break;
    r.matrix.push_back(expert);
    r.sizes[expert] = r.first.back();  // from here on: its next free place
    r.first.push_back(r.first.back() + size);
  }
  for (int32_t i = 0; i < n_places; ++i) {
    const int32_t place = r.sizes[r.experts[i]]++;
    r.places[i] = place;
    r.rows[place] = i / r.n_used;
  }
}

// A group for each row and expert, in order of row.
void group_by_row(int32_t n_places, ExpertRoutes& r) {
  r.first.assign(1, 0);
  r.matrix.assign(r.experts.begin(), r.experts.begin() + n_places);
  for (int32_t i = 0; i < n_places; ++i) {
    r.first.push_back(i + 1);
    r.places[i] = i;
    r.rows[i] = i / r.n_used;
  }
}

}  // namespace

ExpertRoutes allocate_routes(int32_t max_rows, int32_t n_experts, int32_t n_used) {
  CHECK(n_used >= 1 && n_used <= n_experts && n_used <= kMaxUsedExperts);
  ExpertRoutes routes;
  routes.n_experts = n_experts;
  routes.n_used = n_used;
  const size_t max_places = static_cast<size_t>(max_rows) * static_cast<size_t>(n_used);
  routes.experts.resize(max_places);
  routes.weights.resize(max_places);
  routes.places.resize(max_places);
  routes.rows.resize(max_places);
  routes.first.reserve(max_places + 1);
  routes.matrix.reserve(max_places);
  routes.sizes.resize(static_cast<size_t>(n_experts));
  routes.by_size.resize(static_cast<size_t>(n_experts));
  return routes;
}

void route(const Device& device, const Rows& logits, bool normalise, ExpertRoutes& routes) {
  const int64_t n_used = routes.n_used;
  CHECK(logits.n_cols == routes.n_experts);
  CHECK(static_cast<size_t>(logits.n_rows * n_used) <= routes.experts.size());
  for_each_row(device, logits.n_rows, [&](int64_t row) {
    float* const x = logits.row(row);
    const std::span<int32_t> experts(routes.experts.data() + row * n_used, routes.n_used);
    float* const weights = routes.weights.data() + row * n_used;
    take_highest({x, static_cast<size_t>(logits.n_cols)}, experts);
    device.kernels->moe->softmax(x, logits.n_cols);
    float sum = 0.0f;
    for (int64_t i = 0; i < n_used; ++i) sum += weights[i] = x[experts[i]];
    for (int64_t i = 0; normalise && i < n_used; ++i) weights[i] /= sum;
  });
}

void group_rows(MoeGrouping grouping, int32_t n_rows, ExpertRoutes& routes) {
  const int32_t n_places = n_rows * routes.n_used;
  CHECK(static_cast<size_t>(n_places) <= routes.experts.size());
  (grouping == MoeGrouping::kGrouped ? group_by_expert : group_by_row)(n_places, routes);
  routes.groups = {routes.first, routes.matrix,
                   std::span(routes.rows).first(static_cast<size_t>(n_places))};
}

void combine_experts(const Device& device, const ExpertRoutes& routes, ConstRows expert_out,
                     const SharedExpert& shared, Rows out) {
  const int64_t n_used = routes.n_used;
  CHECK(expert_out.n_rows == out.n_rows * n_used && expert_out.n_cols == out.n_cols);
  CHECK(shared.out.n_rows == 0 || shared.out.n_rows == out.n_rows);
  CHECK(shared.gates.n_rows == 0 || shared.gates.n_rows == shared.out.n_rows);
  const MoeKernels& kernels = *device.kernels->moe;
  for_each_row(device, out.n_rows, [&](int64_t row) {
    const float* terms[kMaxUsedExperts + 1];
    float weights[kMaxUsedExperts + 1];
    for (int64_t i = 0; i < n_used; ++i) {
      terms[i] = expert_out.row(routes.places[row * n_used + i]);
      weights[i] = routes.weights[row * n_used + i];
    }
    int32_t n_terms = routes.n_used;
    if (shared.out.n_rows > 0) {
      terms[n_terms] = shared.out.row(row);
      weights[n_terms++] = shared.gates.n_rows > 0 ? kernels.sigmoid(*shared.gates.row(row)) : 1.0f;
    }
    kernels.weighted_sum(terms, weights, n_terms, out.n_cols, out.row(row));
  });
}

}  // namespace prefold
