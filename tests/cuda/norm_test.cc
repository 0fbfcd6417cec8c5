#include "kernels/cuda/norm.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "kernels/reference/elementwise.h"

namespace prefold::cuda {
namespace {

constexpr float kEps = 1e-5f;
constexpr FloatType kTypes[] = {FloatType::kF16, FloatType::kBf16, FloatType::kF32};

std::vector<float> random_floats(size_t n, std::mt19937& rng, float mean = 0.0f) {
  std::normal_distribution<float> normal(mean, 2.0f);
  std::vector<float> x(n);
  for (float& value : x) value = normal(rng);
  return x;
}

double tolerance(FloatType type) {
  return type == FloatType::kF32 ? 4e-6 : type == FloatType::kF16 ? 6e-4 : 5e-3;
}

// What a norm has of parameters.
struct Kind {
  bool is_layer_norm;
  bool has_weight;
  bool has_bias;
};
constexpr Kind kKinds[] = {{false, true, false},
                           {false, false, false},
                           {true, true, true},
                           {true, true, false},
                           {true, false, false}};

std::vector<double> reference_norm(const Kind& kind, std::span<const float> x,
                                   std::span<const float> weight, std::span<const float> bias) {
  if (!kind.has_weight) weight = {};
  if (!kind.has_bias) bias = {};
  return kind.is_layer_norm ? reference::layernorm(x, weight, bias, kEps)
                            : reference::rmsnorm(x, weight, kEps);
}

// Rows with a gap behind each, around 1 so that a layer norm has a mean to take off.
struct NormBed {
  static constexpr int32_t kRows = 5;

  NormBed(const Kind& k, FloatType in_type, int32_t n)
      : kind(k),
        n_cols(n),
        stride(n + 8),
        rng(static_cast<uint32_t>(n)),
        x(rounded(in_type, random_floats(static_cast<size_t>(kRows * stride), rng, 1.0f))),
        weight(random_floats(static_cast<size_t>(n), rng)),
        bias(random_floats(static_cast<size_t>(n), rng)),
        device_x(in_type, x),
        device_weight(weight),
        device_bias(bias) {}

  NormArgs args(const DeviceFloats& out) const {
    return {.x = device_x.data(),
            .in_type = device_x.type(),
            .x_stride = stride,
            .is_layer_norm = kind.is_layer_norm,
            .weight = kind.has_weight ? device_weight.data() : nullptr,
            .bias = kind.has_bias ? device_bias.data() : nullptr,
            .eps = kEps,
            .n_rows = kRows,
            .n_cols = n_cols,
            .out = out.data(),
            .out_type = out.type(),
            .out_stride = stride};
  }
  std::vector<double> expected(int32_t row) const {
    return reference_norm(kind, std::span(x).subspan(row * stride, n_cols), weight, bias);
  }

  Kind kind;
  int32_t n_cols;
  int64_t stride;
  std::mt19937 rng;
  std::vector<float> x, weight, bias;
  DeviceFloats device_x;
  DeviceBuffer<float> device_weight, device_bias;
};

// The largest error of the rows, in tolerances; infinite where what lies behind a row was changed.
// old: added to what is expected; empty: zeros.
double worst(const NormBed& bed, const std::vector<float>& out, const std::vector<float>& behind,
             FloatType type, float scale = 1.0f, const std::vector<float>& old = {}) {
  double most = 0.0;
  for (int32_t row = 0; row < NormBed::kRows; ++row) {
    const std::vector<double> wanted = bed.expected(row);
    for (int64_t col = 0; col < bed.stride; ++col) {
      const auto at = static_cast<size_t>(row * bed.stride + col);
      if (col >= bed.n_cols) {
        if (out[at] != behind[at]) return INFINITY;
        continue;
      }
      const double y = scale * wanted[col] + (old.empty() ? 0.0 : old[at]);
      const double error = std::fabs(out[at] - y) / (std::fabs(y) + 1.0);  // sums may cancel
      most = std::isnan(error) ? INFINITY : std::max(most, error / tolerance(type));
    }
  }
  return most;
}

void check_norm(const Kind& kind, FloatType out_type, int32_t n_cols) {
  CAPTURE(kind.is_layer_norm);
  CAPTURE(kind.has_weight);
  CAPTURE(kind.has_bias);
  CAPTURE(n_cols);
  CAPTURE(static_cast<int>(out_type));
  const NormBed bed(kind, FloatType::kF32, n_cols);
  const std::vector<float> untouched(bed.x.size(), 77.0f);
  const DeviceFloats out(out_type, untouched);
  run_kernel("norm", launch_norm(bed.args(out), nullptr));
  const std::vector<float> all = out.download();
  CHECK(worst(bed, all, untouched, out_type) <= 1.0);

  // Selected rows, one of them twice: the same bits.
  const std::vector<int32_t> rows{4, 0, 3, 0};
  const DeviceBuffer<int32_t> chosen(rows);
  NormArgs args = bed.args(out);
  args.rows = chosen.data();
  args.n_rows = static_cast<int32_t>(rows.size());
  run_kernel("norm", launch_norm(args, nullptr));
  const std::vector<float> selected = out.download();
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(std::equal(selected.begin() + i * bed.stride, selected.begin() + i * bed.stride + n_cols,
                     all.begin() + rows[i] * bed.stride));
  }
}

}  // namespace

TEST_CASE("norm: all rows and selected ones come close to the reference [smoke]") {
  for (const FloatType type : kTypes) {
    for (const int32_t n_cols : {8, 64, 576, 4096, 8200}) check_norm(kKinds[0], type, n_cols);
  }
  for (const Kind& kind : kKinds) {
    for (const int32_t n_cols : {40, 2048}) check_norm(kind, FloatType::kF16, n_cols);
  }
}

TEST_CASE("norm: every kind, of rows wider than what is kept in registers too") {
  for (const FloatType type : kTypes) {
    for (const Kind& kind : kKinds) {
      for (const int32_t n_cols : {8, 8192, 20000}) check_norm(kind, type, n_cols);
    }
  }
}

TEST_CASE("norm: in place, and added to what is there [smoke]") {
  for (const FloatType type : kTypes) {
    for (const int32_t n_cols : {64, 8200}) {
      CAPTURE(static_cast<int>(type));
      CAPTURE(n_cols);
      const NormBed bed(kKinds[0], type, n_cols);
      run_kernel("norm", launch_norm(bed.args(bed.device_x), nullptr));
      CHECK(worst(bed, bed.device_x.download(), bed.x, type) <= 1.0);
    }
  }
  for (const Kind& kind : kKinds) {
    const NormBed bed(kind, FloatType::kF32, 576);
    std::mt19937 rng(3);
    const std::vector<float> old = random_floats(bed.x.size(), rng);
    const DeviceFloats out(FloatType::kF32, old);
    NormArgs args = bed.args(out);
    args.add_to_out = true;
    args.scale = 0.22f;
    run_kernel("norm", launch_norm(args, nullptr));
    CHECK(worst(bed, out.download(), old, FloatType::kF32, 0.22f, old) <= 1.0);
  }
}

TEST_CASE("norm of heads: each by itself, with one weight or its own, in place [smoke]") {
  constexpr int32_t kRows = 3, kHeads = 5;
  for (const FloatType type : kTypes) {
    for (const int32_t head_dim : {16, 80, 128, 256}) {
      for (const bool is_weight_per_head : {false, true}) {
        const Kind& kind = kKinds[head_dim % std::size(kKinds)];
        CAPTURE(static_cast<int>(type));
        CAPTURE(head_dim);
        CAPTURE(is_weight_per_head);
        const int64_t stride = kHeads * head_dim + 16;
        std::mt19937 rng(static_cast<uint32_t>(head_dim));
        const std::vector<float> x =
            rounded(type, random_floats(static_cast<size_t>(kRows * stride), rng, 1.0f));
        const auto n_weights = static_cast<size_t>(head_dim * (is_weight_per_head ? kHeads : 1));
        const std::vector<float> weight = random_floats(n_weights, rng);
        const std::vector<float> bias = random_floats(n_weights, rng);
        const DeviceFloats device_x(type, x);
        const DeviceBuffer<float> device_weight(weight), device_bias(bias);
        run_kernel("head_norm",
                   launch_head_norm({.x = device_x.data(),
                                     .type = type,
                                     .stride = stride,
                                     .is_layer_norm = kind.is_layer_norm,
                                     .weight = kind.has_weight ? device_weight.data() : nullptr,
                                     .bias = kind.has_bias ? device_bias.data() : nullptr,
                                     .is_weight_per_head = is_weight_per_head,
                                     .eps = kEps,
                                     .n_rows = kRows,
                                     .n_heads = kHeads,
                                     .head_dim = head_dim},
                                    nullptr));
        std::vector<double> expected(x.begin(), x.end());
        for (int32_t row = 0; row < kRows; ++row) {
          for (int32_t head = 0; head < kHeads; ++head) {
            const int64_t at = row * stride + head * head_dim;
            const int64_t first = is_weight_per_head ? head * head_dim : 0;
            const std::vector<double> wanted =
                reference_norm(kind, std::span(x).subspan(at, head_dim),
                               std::span(weight).subspan(first, head_dim),
                               std::span(bias).subspan(first, head_dim));
            std::copy(wanted.begin(), wanted.end(), expected.begin() + at);
          }
        }
        const std::vector<float> out = device_x.download();
        double most = 0.0;
        for (size_t i = 0; i < out.size(); ++i) {
          most = std::max(most, std::fabs(out[i] - expected[i]) / (std::fabs(expected[i]) + 1.0));
        }
        CHECK(most <= tolerance(type));
      }
    }
  }
}

TEST_CASE("norm: no rows is no launch; a sum is in f32") {
  CHECK(launch_norm({}, nullptr) == cudaSuccess);
  CHECK(launch_head_norm({}, nullptr) == cudaSuccess);
  CHECK(launch_norm({.n_rows = 1, .add_to_out = true, .out_type = FloatType::kF16}, nullptr) ==
        cudaErrorInvalidValue);
  CHECK(launch_norm({.in_type = FloatType::kF16, .n_rows = 1, .out_type = FloatType::kBf16},
                    nullptr) == cudaErrorInvalidValue);
}

}  // namespace prefold::cuda
