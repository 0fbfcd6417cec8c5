#include "engine/hidden_sums.h"

#include <algorithm>

namespace prefold {

void HiddenSums::prepare(std::span<const SumRows> sums, int32_t n_cols) {
  for (const SumRows& sum : sums) {
    if (sum.slot >= static_cast<int32_t>(sums_.size())) sums_.resize(sum.slot + 1);
    sums_[sum.slot].resize(n_cols);
  }
}

void HiddenSums::add(const SumRows& sum, const float* rows, int64_t stride, int32_t begin,
                     int32_t n_cols) {
  double* const to = sums_[sum.slot].data() + begin;
  if (sum.from == SumRows::kFromZero) {
    std::fill_n(to, n_cols, 0.0);
  } else if (sum.from != sum.slot) {
    std::copy_n(sums_[sum.from].data() + begin, n_cols, to);
  }
  for (int32_t row = 0; row < sum.n_rows; ++row) {
    const float* const x = rows + row * stride + begin;
    for (int32_t i = 0; i < n_cols; ++i) to[i] += x[i];
  }
}

}  // namespace prefold
