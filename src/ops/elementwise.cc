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

// A row's norm: fn(x, out).
template <typename Fn>
void with_norm(const Device& device, const NormParams& params, int32_t n_cols, Fn fn) {
  const auto size = static_cast<size_t>(n_cols);
  CHECK(params.weight.empty() || params.weight.size() == size);
  CHECK(params.bias.empty() || params.bias.size() == size);
  CHECK(params.bias.empty() || params.kind == NormKind::kLayer);
  const ElementwiseKernels& kernels = *device.kernels->elementwise;
  const float* weight = params.weight.empty() ? nullptr : params.weight.data();
  const float* bias = params.bias.empty() ? nullptr : params.bias.data();
  if (params.kind == NormKind::kRms) {
    fn([&, weight](const float* x, float* out) {
      kernels.rmsnorm(x, weight, params.eps, n_cols, out);
    });
  } else {
    fn([&, weight, bias](const float* x, float* out) {
      kernels.layernorm(x, weight, bias, params.eps, n_cols, out);
    });
  }
}

// The values of one head, where they are not the same for all.
ConstVec of_head(ConstVec values, int32_t head, int32_t head_dim) {
  if (values.size() <= static_cast<size_t>(head_dim)) return values;
  return values.subspan(static_cast<size_t>(head) * head_dim, head_dim);
}

}  // namespace

void norm(const Device& device, ConstRows x, const NormParams& params, Rows out) {
  CHECK(out.n_rows == x.n_rows && out.n_cols == x.n_cols);
  with_norm(device, params, x.n_cols, [&](auto norm_row) {
    for_each_row(device, x.n_rows, x.n_cols,
                 [&](int32_t row) { norm_row(x.row(row), out.row(row)); });
  });
}

void norm_heads(const Device& device, const NormParams& params, int32_t head_dim, Rows x) {
  CHECK(head_dim > 0 && x.n_cols % head_dim == 0);
  for (const ConstVec& values : {params.weight, params.bias}) {
    CHECK(values.size() <= static_cast<size_t>(head_dim) ||
          values.size() == static_cast<size_t>(x.n_cols));
  }
  for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
    for (int32_t head = 0; head < x.n_cols / head_dim; ++head) {
      float* const values = x.row(row) + int64_t{head} * head_dim;
      with_norm(device,
                {params.kind, params.eps, of_head(params.weight, head, head_dim),
                 of_head(params.bias, head, head_dim)},
                head_dim, [&](auto norm_row) { norm_row(values, values); });
    }
  });
}

void add_norm(const Device& device, Rows x, const NormParams& params, float factor, Rows out) {
  CHECK(out.n_rows == x.n_rows && out.n_cols == x.n_cols);
  with_norm(device, params, x.n_cols, [&](auto norm_row) {
    for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
      norm_row(x.row(row), x.row(row));
      device.kernels->elementwise->add_scaled(x.row(row), factor, x.n_cols, out.row(row));
    });
  });
}

void add_scaled(const Device& device, ConstRows x, float factor, Rows out) {
  CHECK(out.n_rows == x.n_rows && out.n_cols == x.n_cols);
  for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
    device.kernels->elementwise->add_scaled(x.row(row), factor, x.n_cols, out.row(row));
  });
}

void scale_rows(const Device& device, float factor, Rows x) {
  for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
    device.kernels->elementwise->scale(x.row(row), factor, x.n_cols);
  });
}

void reorder_columns(const Device& device, ConstRows x, std::span<const int32_t> order, Rows out) {
  CHECK(order.size() == static_cast<size_t>(x.n_cols));
  CHECK(out.n_rows == x.n_rows && out.n_cols == x.n_cols);
  for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
    const float* from = x.row(row);
    float* to = out.row(row);
    for (int32_t col = 0; col < x.n_cols; ++col) to[col] = from[order[col]];
  });
}

void clip(const Device& device, float limit, Rows x) {
  for_each_row(device, x.n_rows, x.n_cols, [&](int32_t row) {
    device.kernels->elementwise->clip(x.row(row), limit, x.n_cols);
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

void gate(const Device& device, Activation activation, Rows gate, ConstRows up) {
  CHECK(gate.n_rows == up.n_rows && gate.n_cols == up.n_cols);
  const auto gate_row = device.kernels->elementwise->gate[static_cast<int>(activation)];
  for_each_row(device, gate.n_rows, gate.n_cols,
               [&](int32_t row) { gate_row(gate.row(row), up.row(row), gate.n_cols); });
}

void activate(const Device& device, Activation activation, Rows x) {
  const auto activate_row = device.kernels->elementwise->activate[static_cast<int>(activation)];
  for_each_row(device, x.n_rows, x.n_cols,
               [&](int32_t row) { activate_row(x.row(row), x.n_cols); });
}

}  // namespace prefold
