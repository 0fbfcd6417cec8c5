// Layers of experts (arXiv 1701.06538): which experts a row takes, where its copies lie among the
// rows of one expert, and the sum of what comes back. The experts' products are grouped_linear's.
//
// What a row takes and in which order it is added depends on its own router logits alone: experts
// have no capacity, and there is no order of arrival (docs/architecture.md, I6).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/device.h"
#include "ops/grouped_linear.h"
#include "ops/tensor_view.h"

namespace prefold {

// The most experts a row may take.
inline constexpr int32_t kMaxUsedExperts = 63;

// The experts of a step's rows. Tables by row have n_used entries a row, of ascending expert.
struct ExpertRoutes {
  int32_t n_experts = 0;
  int32_t n_used = 0;
  std::vector<int32_t> experts;  // by row
  std::vector<float> weights;    // by row
  std::vector<int32_t> places;   // by row: where the copy that the expert reads lies in the groups
  // What `groups` views, see RowGroups; at most max_rows * n_used places.
  std::vector<int32_t> first, matrix, rows;
  std::vector<int32_t> sizes, by_size;  // of each expert; experts, those of most rows first
  RowGroups groups;
};

// 1 <= n_used <= n_experts, n_used <= kMaxUsedExperts. Allocates for up to max_rows rows; route and
// group_rows allocate nothing.
ExpertRoutes allocate_routes(int32_t max_rows, int32_t n_experts, int32_t n_used);

// Fills experts and weights. logits: (n_rows, n_experts), overwritten. With p the softmax of a
// row's logits over all experts (the largest logit subtracted; exp_nonpositive and the sum of
// kernels/cpu/simd.h), a row takes the n_used experts of the highest logits, ties to the lower
// expert. An expert's weight is p; if `normalise`, p divided by the sum of the taken ones in order
// of expert.
void route(const Device& device, const Rows& logits, bool normalise, ExpertRoutes& routes);

// Fills places and groups for the n_rows rows last routed.
void group_rows(MoeGrouping grouping, int32_t n_rows, ExpertRoutes& routes);

// What every row takes besides: its outputs and, where it has a gate, that one's logits (else no
// rows). No shared expert: no rows of either.
struct SharedExpert {
  ConstRows out;    // (n_rows, n_cols)
  ConstRows gates;  // (n_rows, 1)
};

// out = the chain over a row's experts, in order of expert, of acc = fma(weight, y, acc) from 0, y
// being the expert's output at the row's place; then of the shared expert with the weight
// 1 / (1 + e^-gate), or 1. expert_out: (n_places, out.n_cols).
void combine_experts(const Device& device, const ExpertRoutes& routes, ConstRows expert_out,
                     const SharedExpert& shared, Rows out);

}  // namespace prefold
