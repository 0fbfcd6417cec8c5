// Packing on the host: no GPU takes part.
#include "cuda/weights.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "base/half.h"
#include "kernels/reference/dequantize.h"
#include "random_weights.h"

namespace prefold::cuda {
namespace {

uint16_t load_u16(const std::byte* at) {
  uint16_t value = 0;
  std::memcpy(&value, at, 2);
  return value;
}

// Quant, scale and minimum of a weight, looked up as weight_format.h describes the layout.
reference::Quantised element(const MatrixLayout& layout, const std::vector<std::byte>& packed,
                             int32_t output, int32_t k) {
  const bool w4 = layout.format == WeightFormat::kW4;
  const int32_t step = k % 32 / 16, pair = k % 16 / 8, lane = output % 8 * 4 + k % 8 / 2;
  const size_t unit = static_cast<size_t>(k / 32 * (layout.n_out / 8) + output / 8);
  const size_t scale_at =
      layout.scale_offset + static_cast<size_t>(k / 32 * layout.n_out + output) * (w4 ? 4 : 2);
  const float scale = f16_to_f32(load_u16(&packed[scale_at]));
  if (!w4) {
    const size_t at = unit * 256 + static_cast<size_t>(lane * 8 + step * 4 + pair * 2 + k % 2);
    return {scale, static_cast<int32_t>(packed[at]) - 128, -0.0f};
  }
  uint32_t word = 0;
  std::memcpy(&word, &packed[unit * 128 + static_cast<size_t>(lane * 4)], 4);
  const auto quant = static_cast<int32_t>(word >> (8 * step + 4 * pair + 16 * (k % 2)) & 15);
  const int32_t second = load_u16(&packed[scale_at + 2]);
  const int32_t zero = second - 0x7c00;
  if (zero >= 0 && zero <= 16) return {scale, quant - zero, 0.0f};
  return {scale, quant, f16_to_f32(static_cast<uint16_t>(second))};
}

float value_of(const reference::Quantised& q) {
  return static_cast<float>(static_cast<double>(q.scale) * q.quant + q.minimum);
}

float value_in(const MatrixLayout& layout, const std::vector<std::byte>& packed, int32_t output,
               int32_t k) {
  if (layout.format != WeightFormat::kDense) return value_of(element(layout, packed, output, k));
  return f16_to_f32(load_u16(&packed[static_cast<size_t>(output * layout.n_in + k) * 2]));
}

std::vector<std::byte> pack(const MatrixLayout& layout, std::span<const StoredMatrix> parts) {
  ThreadPool pool(2);
  std::vector<std::byte> packed(layout.n_bytes);
  pack_matrix(layout, parts, packed, pool);
  return packed;
}

}  // namespace

TEST_CASE("weights: a type's format depends on the activations' type") {
  CHECK(weight_format(TensorType::kQ8_0, FloatType::kF16) == WeightFormat::kW8);
  CHECK(weight_format(TensorType::kQ4_0, FloatType::kBf16) == WeightFormat::kW4);
  CHECK(weight_format(TensorType::kQ4_1, FloatType::kF32) == WeightFormat::kW4);
  CHECK(weight_format(TensorType::kQ4_K, FloatType::kF16) == WeightFormat::kW4);
  CHECK(weight_format(TensorType::kQ4_K, FloatType::kF32) == WeightFormat::kDense);
  CHECK(weight_format(TensorType::kInt4_128, FloatType::kBf16) == WeightFormat::kW4);
  CHECK(weight_format(TensorType::kInt4_128, FloatType::kF32) == WeightFormat::kW4);
  CHECK(weight_format(TensorType::kQ5_0, FloatType::kF32) == WeightFormat::kW8);
  CHECK(weight_format(TensorType::kIQ4_NL, FloatType::kF32) == WeightFormat::kW8);
  CHECK(weight_format(TensorType::kMXFP4, FloatType::kF16) == WeightFormat::kW8);
  CHECK(weight_format(TensorType::kIQ4_XS, FloatType::kF16) == WeightFormat::kW8);
  CHECK(weight_format(TensorType::kMXFP4, FloatType::kF32) == WeightFormat::kDense);
  CHECK(weight_format(TensorType::kQ6_K, FloatType::kF16) == WeightFormat::kDense);
  CHECK(weight_format(TensorType::kF32, FloatType::kF16) == WeightFormat::kDense);
}

TEST_CASE("weights: sizes are known beforehand") {
  const MatrixLayout w4 = matrix_layout(TensorType::kQ4_0, FloatType::kF16, 4096, 4096);
  CHECK(w4.scale_offset == 4096 * 4096 / 2);
  CHECK(w4.n_bytes == 4096 * 4096 / 2 + 4096 * 4096 / 32 * 4);
  const MatrixLayout w8 = matrix_layout(TensorType::kQ8_0, FloatType::kF16, 8, 32);
  CHECK(w8.scale_offset == 256);
  CHECK(w8.n_bytes == 512);  // 16 bytes of scales, rounded up
  CHECK(matrix_layout(TensorType::kF16, FloatType::kF16, 8, 32).n_bytes == 512);
  CHECK(matrix_layout(TensorType::kInt4_128, FloatType::kF16, 4096, 4096).n_bytes == w4.n_bytes);
  CHECK(matrix_layout(TensorType::kQ6_K, FloatType::kF32, 8, 256).n_bytes == 8 * 256 * 4);
}

// What a weight may lose: 2^-11 of a product of two scales, of the minimum's too, and the sum's
// rounding to f32.
float tolerance_of(TensorType type, const reference::Quantised& q) {
  if (type != TensorType::kQ4_K && type != TensorType::kIQ4_XS) return 0.0f;
  return 0x1.01p-11f * (std::abs(q.scale * static_cast<float>(q.quant)) + std::abs(q.minimum));
}

TEST_CASE("weights: every quantised weight is found where the layout says [smoke]") {
  constexpr int32_t kOut = 40, kIn = 512;
  std::mt19937 rng(3);
  for (const TensorType type : kAllTensorTypes) {
    if (weight_format(type, FloatType::kF16) == WeightFormat::kDense) continue;
    CAPTURE(traits_of(type).name);
    const MatrixLayout layout = matrix_layout(type, FloatType::kF16, kOut, kIn);
    const std::vector<std::byte> stored = random_stored(type, kOut * kIn, rng);
    const StoredMatrix part{type, stored, kOut};
    const std::vector<std::byte> packed = pack(layout, std::span(&part, 1));
    std::vector<float> expected(kOut * kIn);
    reference::dequantize(type, stored, expected);
    std::vector<reference::Quantised> elements(kOut * kIn);
    reference::unpack(type, stored, elements);
    int32_t n_wrong = 0;
    for (int32_t output = 0; output < kOut; ++output) {
      for (int32_t k = 0; k < kIn; ++k) {
        const auto i = static_cast<size_t>(output * kIn + k);
        const float found = value_of(element(layout, packed, output, k));
        if (std::abs(found - expected[i]) > tolerance_of(type, elements[i])) ++n_wrong;
      }
    }
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("weights: dense values are converted, parts follow one another") {
  constexpr int32_t kIn = 288;
  std::mt19937 rng(5);
  const std::vector<std::byte> first = random_stored(TensorType::kF16, 16 * kIn, rng);
  const std::vector<std::byte> second = random_stored(TensorType::kQ5_1, 8 * kIn, rng);
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    const MatrixLayout layout = matrix_layout(TensorType::kF16, type, 24, kIn);
    const StoredMatrix parts[] = {{TensorType::kF16, first, 16}, {TensorType::kQ5_1, second, 8}};
    const std::vector<std::byte> packed = pack(layout, parts);
    std::vector<float> expected(24 * kIn);
    reference::dequantize(TensorType::kF16, first, std::span(expected).first(16 * kIn));
    reference::dequantize(TensorType::kQ5_1, second, std::span(expected).subspan(16 * kIn));
    int32_t n_wrong = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      uint32_t bits = 0;
      const size_t size = type == FloatType::kF32 ? 4 : 2;
      std::memcpy(&bits, &packed[i * size], size);
      const uint32_t wanted = type == FloatType::kF32   ? std::bit_cast<uint32_t>(expected[i])
                              : type == FloatType::kF16 ? f32_to_f16(expected[i])
                                                        : f32_to_bf16(expected[i]);
      if (bits != wanted) ++n_wrong;
    }
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("weights: parts of quantised matrices are one matrix") {
  constexpr int32_t kIn = 96;
  std::mt19937 rng(6);
  const std::vector<std::byte> stored = random_stored(TensorType::kQ4_1, 40 * kIn, rng);
  const size_t split = stored.size() / 40 * 24;
  const MatrixLayout layout = matrix_layout(TensorType::kQ4_1, FloatType::kF16, 40, kIn);
  const StoredMatrix whole{TensorType::kQ4_1, stored, 40};
  const StoredMatrix parts[] = {{TensorType::kQ4_1, std::span(stored).first(split), 24},
                                {TensorType::kQ4_1, std::span(stored).subspan(split), 16}};
  CHECK(pack(layout, std::span(&whole, 1)) == pack(layout, parts));
}

TEST_CASE("weights: shapes that do not fit the kernels are refused with what is wanted") {
  CHECK_THROWS_WITH_AS(
      (void)matrix_layout(TensorType::kF16, FloatType::kF16, 16, 48),
      "a matrix of 16 outputs and 48 inputs; on CUDA inputs must be a multiple of 32", Error);
}

TEST_CASE("weights: outputs are rounded up to a multiple of 8, with zeros") {
  constexpr int32_t kIn = 256;
  std::mt19937 rng(7);
  for (const TensorType type : {TensorType::kF16, TensorType::kQ5_1, TensorType::kQ4_1,
                                TensorType::kQ4_K, TensorType::kQ8_0}) {
    CAPTURE(traits_of(type).name);
    std::vector<std::byte> stored = random_stored(type, 16 * kIn, rng);
    const MatrixLayout layout = matrix_layout(type, FloatType::kF16, 13, kIn);
    CHECK(layout.n_out == 16);
    const StoredMatrix part{type, std::span(stored).first(stored.size() / 16 * 13), 13};
    ThreadPool pool(2);
    std::vector<std::byte> packed(layout.n_bytes, std::byte{0xa5});  // as staging memory may be
    pack_matrix(layout, std::span(&part, 1), packed, pool);
    // The same as of a matrix whose last three outputs are stored, but for these.
    const StoredMatrix whole{type, stored, 16};
    std::vector<std::byte> all(layout.n_bytes, std::byte{0xa5});
    pack_matrix(layout, std::span(&whole, 1), all, pool);
    int32_t n_wrong = 0;
    for (int32_t output = 0; output < 16; ++output) {
      for (int32_t k = 0; k < kIn; ++k) {
        const float found = value_in(layout, packed, output, k);
        const float wanted = output < 13 ? value_in(layout, all, output, k) : 0.0f;
        if (found != wanted) ++n_wrong;
      }
    }
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("weights: what is too large for f16 is refused") {
  std::vector<float> values(8 * 32, 1.0f);
  values[100] = 70000.0f;
  const auto stored = std::as_bytes(std::span(values));
  const StoredMatrix part{TensorType::kF32, stored, 8};
  const MatrixLayout f16 = matrix_layout(TensorType::kF32, FloatType::kF16, 8, 32);
  CHECK_THROWS_WITH_AS(pack(f16, std::span(&part, 1)),
                       "a F32 weight of outputs 0 to 7 is too large for f16 (65504 at most)",
                       Error);
  CHECK_NOTHROW(
      pack(matrix_layout(TensorType::kF32, FloatType::kBf16, 8, 32), std::span(&part, 1)));

  std::vector<std::byte> q4_0(8 * 18);
  const uint16_t scale = f32_to_f16(-9000.0f);  // the minimum is -8 times that
  std::memcpy(&q4_0[3 * 18], &scale, 2);
  const StoredMatrix quantised{TensorType::kQ4_0, q4_0, 8};
  CHECK_THROWS_WITH_AS(
      pack(matrix_layout(TensorType::kQ4_0, FloatType::kF16, 8, 32), std::span(&quantised, 1)),
      "a Q4_0 scale or minimum of outputs 0 to 7 is too large for f16 (65504 at "
      "most)",
      Error);
}

}  // namespace prefold::cuda
