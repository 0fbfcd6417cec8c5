#include "kernels/cuda/gemm.h"

#include <array>
#include <random>

#include "cuda/linear_fixture.h"

namespace prefold::cuda {
namespace {

constexpr GemmTile kTiles[] = {GemmTile::k8x32,   GemmTile::k8x64,  GemmTile::k16x32,
                               GemmTile::k16x64,  GemmTile::k32x64, GemmTile::k64x64,
                               GemmTile::k128x128};
constexpr TensorType kStoredTypes[] = {TensorType::kF16, TensorType::kQ8_0, TensorType::kQ4_0,
                                       TensorType::kQ4_1};

struct Shape {
  int32_t n_rows, n_out, n_in;
};

std::vector<FloatType> activation_types() {
  std::vector<FloatType> types{FloatType::kF16};
  if (gpu_has(8, 0, "bf16 products")) types.push_back(FloatType::kBf16);
  return types;
}

// The case's operands, with rows of x and out further apart than they are long.
struct Operands {
  Operands(TensorType stored, FloatType t, const Shape& s, std::mt19937& rng)
      : type(t),
        shape(s),
        weight(stored, t, s.n_out, s.n_in, rng),
        x(rounded(t, random_floats(static_cast<size_t>(s.n_rows * s.n_in), rng))),
        bias(random_floats(static_cast<size_t>(s.n_out), rng)),
        product(plain_product(x, weight.values, s.n_rows, s.n_out, s.n_in)),
        size(root_mean_square(x) * root_mean_square(weight.values)),
        x_stride(s.n_in + 24),
        out_stride(s.n_out + 8),
        device_x(t, padded_x()),
        device_bias(bias) {}

  // Garbage that must not be read, not as a factor of 0 either, behind each row.
  std::vector<float> padded_x() const {
    std::vector<float> padded(static_cast<size_t>(shape.n_rows) * static_cast<size_t>(x_stride),
                              NAN);
    for (int32_t row = 0; row < shape.n_rows; ++row) {
      std::copy_n(x.begin() + row * shape.n_in, shape.n_in, padded.begin() + row * x_stride);
    }
    return padded;
  }

  size_t out_size() const {
    return static_cast<size_t>(shape.n_rows) * static_cast<size_t>(out_stride);
  }

  GemmArgs args(GemmTile tile, GemmOutput output, const DeviceFloats& out) const {
    return {.type = type,
            .tile = tile,
            .output = output,
            .x = device_x.data(),
            .x_stride = x_stride,
            .n_rows = shape.n_rows,
            .linear = weight.linear(),
            .out = out.data(),
            .out_stride = out_stride};
  }

  FloatType type;
  Shape shape;
  TestMatrix weight;
  std::vector<float> x, bias;
  std::vector<double> product;
  double size;  // of a term of a product
  int64_t x_stride, out_stride;
  DeviceFloats device_x;
  DeviceBuffer<float> device_bias;
};

constexpr float kUntouched = 77.0f;

// The largest excess over the tolerance, 0 if there is none; infinite where columns behind a row
// were written. expected(row, output): what should be there.
template <class Expected>
double excess(const Operands& op, const DeviceFloats& out, const Expected& expected) {
  const std::vector<float> found = out.download();
  double worst = 0.0;
  for (int64_t row = 0; row < op.shape.n_rows; ++row) {
    const float* line = found.data() + row * op.out_stride;
    for (int64_t output = 0; output < op.out_stride; ++output) {
      if (output >= op.shape.n_out) {
        if (line[output] != kUntouched) return INFINITY;
        continue;
      }
      const double wanted = expected(row, output);
      const double tolerance = product_tolerance(out.type(), wanted, op.shape.n_in, op.size);
      const double difference = std::abs(line[output] - wanted) - tolerance;
      worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
    }
  }
  return worst;
}

void check_tile(const Operands& op, GemmTile tile) {
  const auto product = [&](int64_t row, int64_t output) {
    return op.product[static_cast<size_t>(row * op.shape.n_out + output)];
  };
  const auto biased = [&](int64_t row, int64_t output) {
    return product(row, output) + op.bias[static_cast<size_t>(output)];
  };
  const std::vector<float> untouched(op.out_size(), kUntouched);
  CAPTURE(static_cast<int>(tile));
  for (const GemmOutput output : {GemmOutput::kStore, GemmOutput::kStoreF32, GemmOutput::kAddF32}) {
    CAPTURE(static_cast<int>(output));
    const FloatType out_type = output == GemmOutput::kStore ? op.type : FloatType::kF32;
    DeviceFloats plain(out_type, untouched), with_bias(out_type, untouched);
    GemmArgs args = op.args(tile, output, plain);
    run_kernel("gemm", launch_gemm(args, nullptr));
    args = op.args(tile, output, with_bias);
    args.linear.bias = op.device_bias.data();
    args.add_scale = 0.22f;
    run_kernel("gemm", launch_gemm(args, nullptr));
    const bool is_sum = output == GemmOutput::kAddF32;
    const double old = is_sum ? kUntouched : 0.0, scale = is_sum ? args.add_scale : 1.0;
    CHECK(excess(op, plain, [&](auto row, auto out) { return old + product(row, out); }) == 0.0);
    CHECK(excess(op, with_bias,
                 [&](auto row, auto out) { return old + scale * biased(row, out); }) == 0.0);
  }
}

void check_shapes(std::span<const Shape> shapes, std::span<const TensorType> stored_types) {
  std::mt19937 rng(7);
  for (const FloatType type : activation_types()) {
    for (const TensorType stored : stored_types) {
      for (const Shape& shape : shapes) {
        CAPTURE(traits_of(stored).name);
        CAPTURE(static_cast<int>(type));
        CAPTURE(shape.n_rows);
        CAPTURE(shape.n_out);
        CAPTURE(shape.n_in);
        const Operands op(stored, type, shape, rng);
        for (const GemmTile tile : kTiles) check_tile(op, tile);
      }
    }
  }
}

}  // namespace

TEST_CASE("gemm: every format, tile and output equals a double loop [smoke]") {
  constexpr Shape kShapes[] = {{1, 8, 32}, {19, 72, 160}};
  check_shapes(kShapes, kStoredTypes);
}

TEST_CASE("gemm: odd shapes equal a double loop") {
  constexpr Shape kShapes[] = {{7, 24, 64}, {33, 136, 288}, {66, 40, 96}, {130, 264, 544}};
  check_shapes(kShapes, kStoredTypes);
}

TEST_CASE("gemm: types that are dequantised or rescaled at load equal a double loop") {
  constexpr Shape kShapes[] = {{5, 40, 512}};
  constexpr TensorType kTypes[] = {TensorType::kQ4_K,   TensorType::kQ6_K,  TensorType::kInt4_128,
                                   TensorType::kIQ4_XS, TensorType::kMXFP4, TensorType::kBF16,
                                   TensorType::kF32};
  check_shapes(kShapes, kTypes);
}

TEST_CASE("gemm: the full matrix of shapes equals a double loop [full]") {
  constexpr int32_t kOutIn[][2] = {{8, 1024}, {32, 96},  {56, 416},
                                   {64, 128}, {128, 32}, {200, 736}};
  std::vector<Shape> shapes;
  for (const int32_t n_rows :
       {1, 2, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129}) {
    for (const auto& [n_out, n_in] : kOutIn) shapes.push_back({n_rows, n_out, n_in});
  }
  check_shapes(shapes, kStoredTypes);
}

TEST_CASE("gemm: an output's bits depend on neither tile nor row count [smoke]") {
  constexpr Shape kShape{131, 136, 1056};
  constexpr int32_t kRowCounts[] = {131, 128, 65, 33, 17, 16, 5, 1};
  std::mt19937 rng(11);
  for (const TensorType stored : kStoredTypes) {
    CAPTURE(traits_of(stored).name);
    const Operands op(stored, FloatType::kF16, kShape, rng);
    std::vector<float> first;
    for (const GemmTile tile : kTiles) {
      CAPTURE(static_cast<int>(tile));
      for (const int32_t n_rows : kRowCounts) {
        CAPTURE(n_rows);
        DeviceFloats out(FloatType::kF32, std::vector<float>(op.out_size(), kUntouched));
        GemmArgs args = op.args(tile, GemmOutput::kStoreF32, out);
        args.n_rows = n_rows;
        run_kernel("gemm", launch_gemm(args, nullptr));
        const std::vector<float> found = out.download();
        if (first.empty()) first = found;
        const auto used = static_cast<size_t>(n_rows * op.out_stride);
        CHECK(std::memcmp(first.data(), found.data(), used * sizeof(float)) == 0);
        CHECK(std::all_of(found.begin() + static_cast<int64_t>(used), found.end(),
                          [](float value) { return value == kUntouched; }));
      }
    }
  }
}

TEST_CASE("gemm: activations in f32 are refused") {
  CHECK(launch_gemm({.type = FloatType::kF32, .n_rows = 1}, nullptr) == cudaErrorInvalidValue);
}

}  // namespace prefold::cuda
