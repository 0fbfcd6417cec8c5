#include "ops/elementwise.h"

#include <algorithm>

#include "base/check.h"

namespace prefold {
namespace {

// Elements an item should hold, so that handing it to a thread costs little beside it.
constexpr int64_t kItemElements = 8192;

template <typename Fn>
void for_each_row(const Device& device, int32_t n_rows, int64_t row_elements, Fn fn) {
  const int64_t rows = std::max<int64_t>(1, kItemElements / std::max<int64_t>(1, row_elements));
  device.pool->parallel_for((n_rows + rows - 1) / rows, [&](int64_t item, int32_t) {
    const int64_t end = std::min<int64_t>(n_rows, (item + 1) * rows);
    for (int64_t row = item * rows; row < end; ++row) fn(static_cast<int32_t>(row));
  });
}

}  // namespace

void rmsnorm(const Device& device, ConstRows x, ConstVec gamma, float eps, Rows out) {
  CHECK(gamma.size() == static_cast<size_t>(x.n_cols));
  CHECK(out.n_rows == x.n_rows && out.n_cols == x.n_cols);
  for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
    device.kernels->elementwise->rmsnorm(x.row(row), gamma.data(), eps, x.n_cols, out.row(row));
  });
}

void rope(const Device& device, const RopeTable& table, std::span<const int32_t> positions,
          int32_t head_dim, Rows x) {
  CHECK(positions.size() == static_cast<size_t>(x.n_rows));
  CHECK(head_dim > 0 && x.n_cols % head_dim == 0 && table.rotary_dim <= head_dim);
  const auto rotate = table.kind == RopeKind::kInterleaved
                          ? device.kernels->elementwise->rope_interleaved
                          : device.kernels->elementwise->rope_half;
  const int32_t n_pairs = table.rotary_dim / 2;
  for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
    const int64_t position = positions[row];
    CHECK(position >= 0 && position < table.n_positions);
    const float* cos = table.cos.data() + position * n_pairs;
    const float* sin = table.sin.data() + position * n_pairs;
    float* heads = x.row(row);
    for (int32_t i = 0; i < x.n_cols; i += head_dim) rotate(heads + i, cos, sin, n_pairs);
  });
}

void silu_mul(const Device& device, Rows gate, ConstRows up) {
  CHECK(gate.n_rows == up.n_rows && gate.n_cols == up.n_cols);
  for_each_row(device, gate.n_rows, gate.n_cols, [&](int32_t row) {
    device.kernels->elementwise->silu_mul(gate.row(row), up.row(row), gate.n_cols);
  });
}

}  // namespace prefold
