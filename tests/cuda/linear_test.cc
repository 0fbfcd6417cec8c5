#include "cuda/linear.h"

#include <algorithm>
#include <random>

#include "cuda/cublas_linear.h"
#include "cuda/cublas_rows.h"
#include "cuda/linear_fixture.h"
#include "kernels/cuda/dequantize.h"
#include "kernels/reference/gemm.h"
#include "ops/linear.h"

namespace prefold::cuda {
namespace {

constexpr TensorType kDeviceTypes[] = {TensorType::kF16, TensorType::kQ8_0, TensorType::kQ4_1};

std::vector<double> with_bias(std::vector<double> y, const std::vector<float>& bias) {
  for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i % bias.size()];
  return y;
}

bool within_tolerance(const std::vector<float>& found, const std::vector<double>& expected,
                      FloatType type, int32_t n_in, double size) {
  for (size_t i = 0; i < expected.size(); ++i) {
    // Twice the rounding: cuBLAS meets a bias that is rounded already.
    const double tolerance = 2.0 * product_tolerance(type, std::abs(expected[i]) + 1.0, n_in, size);
    if (!(std::abs(found[i] - expected[i]) <= tolerance)) return false;
  }
  return true;
}

DeviceRows rows_of(const DeviceFloats& x, int32_t n_rows, int32_t n_in) {
  return {x.data(), x.type(), n_rows, n_in};
}

}  // namespace

TEST_CASE("dequantize: every weight has its value, rounded once [smoke]") {
  std::mt19937 rng(13);
  for (const TensorType stored : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ4_K,
                                  TensorType::kInt4_32, TensorType::kQ8_0, TensorType::kIQ4_NL}) {
    for (const FloatType type : {FloatType::kF16, FloatType::kBf16}) {
      if (type == FloatType::kBf16 && !gpu_has(8, 0, "bf16 weights")) continue;
      for (const int32_t n_out : {8, 40}) {
        CAPTURE(traits_of(stored).name);
        CAPTURE(static_cast<int>(type));
        const int32_t n_in = stored == TensorType::kQ4_K ? 512 : 352;
        const TestMatrix weight(stored, type, n_out, n_in, rng);
        DeviceFloats out(type, weight.values.size());
        run_kernel(
            "dequantize",
            launch_dequantize(
                {.weight = weight.matrix(), .n_outputs = n_out, .type = type, .out = out.data()},
                nullptr));
        CHECK(out.download() == weight.values);
        if (n_out == 8) continue;
        DeviceFloats some(type, static_cast<size_t>(24 * n_in));
        run_kernel("dequantize", launch_dequantize({.weight = weight.matrix(),
                                                    .first_output = 8,
                                                    .n_outputs = 24,
                                                    .type = type,
                                                    .out = some.data()},
                                                   nullptr));
        CHECK(some.download() == std::vector<float>(weight.values.begin() + 8 * n_in,
                                                    weight.values.begin() + 32 * n_in));
      }
    }
  }
}

TEST_CASE("linear: in f32 the bits are those of the CPU's exact product [smoke]") {
  std::mt19937 rng(17);
  ThreadPool pool(2);
  const Device cpu{&pool, &find_cpu_kernels("scalar"), Precision::kExact};
  for (const TensorType stored :
       {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0, TensorType::kQ5_0,
        TensorType::kIQ4_NL, TensorType::kF32, TensorType::kQ6_K, TensorType::kQ4_K,
        TensorType::kInt4_64, TensorType::kMXFP4}) {
    CAPTURE(traits_of(stored).name);
    const int32_t n_rows = 67, n_out = 72, n_in = 256;
    const TestMatrix weight(stored, FloatType::kF32, n_out, n_in, rng);
    const std::vector<float> x = random_floats(static_cast<size_t>(n_rows * n_in), rng);
    const std::vector<float> bias = random_floats(static_cast<size_t>(n_out), rng);
    const std::vector<float> old = random_floats(static_cast<size_t>(n_rows * n_out), rng);

    const PackedMatrix packed(stored, weight.stored, n_out, n_in, pool);
    std::vector<float> expected = old;
    const LinearPart part{&packed, bias, {expected.data(), n_rows, n_out, n_out}, true};
    std::vector<std::byte> scratch(linear_scratch_bytes(cpu, n_rows, n_in));
    prefold::linear(cpu, {x.data(), n_rows, n_in, n_in}, std::span(&part, 1), scratch);

    const DeviceFloats device_x(FloatType::kF32, x), out(FloatType::kF32, old);
    const DeviceBuffer<float> device_bias(bias);
    linear({}, rows_of(device_x, n_rows, n_in), weight.linear(device_bias.data()),
           {out.data(), n_out, GemmOutput::kAddF32});
    CHECK(out.download() == expected);

    const DeviceFloats product(FloatType::kF32, old.size()), sum(FloatType::kF32, old);
    linear({}, rows_of(device_x, n_rows, n_in), weight.linear(device_bias.data()),
           {product.data(), n_out, GemmOutput::kStoreF32});
    linear({}, rows_of(device_x, n_rows, n_in), weight.linear(device_bias.data()),
           {sum.data(), n_out, GemmOutput::kAddF32, 0.22f});
    std::vector<float> scaled = product.download();
    for (size_t i = 0; i < scaled.size(); ++i) scaled[i] = old[i] + 0.22f * scaled[i];
    CHECK(sum.download() == scaled);

    reference::gemm(x.data(), n_in, n_rows, weight.values.data(), n_out, n_in, nullptr, false,
                    expected.data(), n_out);
    linear({}, rows_of(device_x, n_rows, n_in), weight.linear(),
           {out.data(), n_out, GemmOutput::kStoreF32});
    CHECK(out.download() == expected);
  }
}

TEST_CASE("linear: cuBLAS gives the product too, whatever the scratch holds at a time") {
  std::mt19937 rng(19);
  DeviceBuffer<std::byte> workspace(kCublasWorkspaceBytes);
  const CublasHandle handle(nullptr, {workspace.data(), workspace.size()});
  const int32_t n_rows = 21, n_out = 72, n_in = 96;
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16}) {
    if (type == FloatType::kBf16 && !gpu_has(8, 0, "bf16 products")) continue;
    for (const TensorType stored : kDeviceTypes) {
      CAPTURE(traits_of(stored).name);
      const TestMatrix weight(stored, type, n_out, n_in, rng);
      const std::vector<float> x =
          rounded(type, random_floats(static_cast<size_t>(n_rows * n_in), rng));
      const std::vector<float> bias = random_floats(static_cast<size_t>(n_out), rng);
      const std::vector<double> product = plain_product(x, weight.values, n_rows, n_out, n_in);
      const double size = root_mean_square(x) * root_mean_square(weight.values);
      const DeviceFloats device_x(type, x);
      const DeviceBuffer<float> device_bias(bias);
      for (const size_t scratch_bytes :
           {cublas_scratch_bytes(weight.matrix()), size_t{16 * n_in * 2}}) {
        const DeviceBuffer<std::byte> scratch(std::max(scratch_bytes, size_t{1}));
        LinearContext context{.n_sms = 4,
                              .cublas_rows = {1, 1, 1},
                              .cublas = handle.get(),
                              .scratch = {scratch.data(), scratch.size()}};
        for (const GemmOutput output :
             {GemmOutput::kStore, GemmOutput::kStoreF32, GemmOutput::kAddF32}) {
          CAPTURE(static_cast<int>(output));
          const FloatType out_type = output == GemmOutput::kStore ? type : FloatType::kF32;
          const std::vector<float> zeros(product.size());
          const DeviceFloats out(out_type, zeros), biased(out_type, zeros);
          linear(context, rows_of(device_x, n_rows, n_in), weight.linear(),
                 {out.data(), n_out, output});
          CHECK(within_tolerance(out.download(), product, out_type, n_in, size));
          linear(context, rows_of(device_x, n_rows, n_in), weight.linear(device_bias.data()),
                 {biased.data(), n_out, output, 0.5f});
          std::vector<double> expected = with_bias(product, bias);
          if (output == GemmOutput::kAddF32) {
            for (double& value : expected) value *= 0.5;
          }
          CHECK(within_tolerance(biased.download(), expected, out_type, n_in, size));
        }
      }
    }
  }
}

TEST_CASE("linear: the deterministic product of a row does not depend on the rows beside it") {
  std::mt19937 rng(23);
  const int32_t n_rows = 70, n_out = 64, n_in = 320;
  const TestMatrix weight(TensorType::kQ4_1, FloatType::kF16, n_out, n_in, rng);
  const DeviceFloats x(FloatType::kF16, random_floats(static_cast<size_t>(n_rows * n_in), rng));
  // 2 multiprocessors: several tiles are chosen. A cuBLAS that is asked for would crash: no handle.
  const LinearContext context{.n_sms = 2, .deterministic = true, .cublas_rows = {1, 1, 1}};
  const DeviceFloats all(FloatType::kF16, static_cast<size_t>(n_rows * n_out));
  linear(context, rows_of(x, n_rows, n_in), weight.linear(), {all.data(), n_out});
  const std::vector<uint8_t> expected = all.download_bytes();
  for (const int32_t some : {1, 16, 17, 33, 65}) {
    const DeviceFloats out(FloatType::kF16, static_cast<size_t>(some * n_out));
    linear(context, rows_of(x, some, n_in), weight.linear(), {out.data(), n_out});
    const std::vector<uint8_t> found = out.download_bytes();
    CHECK(std::equal(found.begin(), found.end(), expected.begin()));
  }
  linear(context, rows_of(x, 0, n_in), weight.linear(), {nullptr, n_out});  // nothing to do
}

TEST_CASE("choose_tile: tiles grow with the rows while every multiprocessor has a block") {
  constexpr int32_t kSms = 108;
  CHECK(choose_tile(1, 4096, kSms) == GemmTile::k8x32);
  CHECK(choose_tile(1, 14336, kSms) == GemmTile::k8x64);
  CHECK(choose_tile(1, 192, kSms) == GemmTile::k8x32);
  CHECK(choose_tile(9, 4096, kSms) == GemmTile::k16x32);
  CHECK(choose_tile(16, 14336, kSms) == GemmTile::k16x64);
  CHECK(choose_tile(17, 14336, kSms) == GemmTile::k32x64);
  CHECK(choose_tile(32, 4096, kSms) == GemmTile::k16x64);  // 128 blocks; 32x64 would make 64
  CHECK(choose_tile(64, 14336, kSms) == GemmTile::k64x64);
  CHECK(choose_tile(65, 14336, kSms) == GemmTile::k128x128);
  CHECK(choose_tile(256, 4096, kSms) == GemmTile::k64x64);
  CHECK(choose_tile(512, 4096, kSms) == GemmTile::k128x128);
  CHECK(choose_tile(256, 192, kSms) == GemmTile::k16x32);
}

TEST_CASE("find_cublas_rows: the least count from which cuBLAS stays ahead") {
  const auto faster_from = [](int32_t first) {
    return [first](bool use_cublas, int32_t n_rows) {
      return use_cublas ? 10.0 : n_rows >= first ? 11.0 : 9.0;
    };
  };
  CHECK(find_cublas_rows(faster_from(1), 512) == 32);
  CHECK(find_cublas_rows(faster_from(100), 512) == 128);
  CHECK(find_cublas_rows(faster_from(512), 512) == 512);
  CHECK(find_cublas_rows(faster_from(512), 700) == 512);
  CHECK(find_cublas_rows(faster_from(513), 512) == CublasRows::kNever);
  CHECK(find_cublas_rows(faster_from(1), 31) == CublasRows::kNever);
  const auto ahead_at_64_and_256 = [](bool use_cublas, int32_t n_rows) {
    return use_cublas ? 10.0 : n_rows == 64 || n_rows == 256 ? 11.0 : 9.0;
  };
  CHECK(find_cublas_rows(ahead_at_64_and_256, 256) == 256);
  const auto equal = [](bool, int32_t) { return 1.0; };
  CHECK(find_cublas_rows(equal, 256) == CublasRows::kNever);
}

TEST_CASE("measure_cublas_rows: measures both ways for each format there is") {
  std::mt19937 rng(29);
  constexpr int32_t kMaxRows = 64;
  DeviceBuffer<std::byte> workspace(kCublasWorkspaceBytes), scratch(16 * 96 * 2);
  const CublasHandle handle(nullptr, {workspace.data(), workspace.size()});
  const LinearContext context{
      .n_sms = 4, .cublas = handle.get(), .scratch = {scratch.data(), scratch.size()}};
  const TestMatrix small(TensorType::kQ8_0, FloatType::kF16, 8, 96, rng);
  const TestMatrix large(TensorType::kQ8_0, FloatType::kF16, 32, 64, rng);
  const TestMatrix dense(TensorType::kF16, FloatType::kF16, 16, 64, rng);
  const DeviceLinear w8_small = small.linear(), w8 = large.linear(), f16 = dense.linear();
  const DeviceLinear* const linears[] = {&w8_small, &w8, &f16};
  // Not enough for w8_small's rows: only the largest of a format is measured.
  DeviceBuffer<std::byte> x(kMaxRows * 64 * 2), out(kMaxRows * 32 * 2);
  x.fill_bytes(0);
  const CublasRows rows = measure_cublas_rows(
      context, linears,
      {.max_rows = kMaxRows, .x = {x.data(), x.size()}, .out = {out.data(), out.size()}});
  for (const int32_t found : {rows.dense, rows.w8}) {
    CHECK((found == 32 || found == 64 || found == CublasRows::kNever));
  }
  CHECK(rows.w4 == CublasRows::kNever);
}

}  // namespace prefold::cuda
