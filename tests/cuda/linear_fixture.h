// Matrices for tests of the matrix products: stored at random, packed for the device, and their
// values by plain arithmetic.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "cuda/weights.h"
#include "kernels/reference/dequantize.h"
#include "random_weights.h"

namespace prefold::cuda {

// `value` rounded once to a float type.
inline float round_to(FloatType type, double value) {
  if (type == FloatType::kF32 || value == 0.0) return static_cast<float>(value);
  const int precision = type == FloatType::kF16 ? 11 : 8,
            least = type == FloatType::kF16 ? -24 : -133;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(value) + 1 - precision, least));
  return static_cast<float>(std::nearbyint(value / unit) * unit);
}

// The value of each stored weight in device memory: d * q + m with d and m in f16 for the quantised
// formats (m exact where it is d times a zero), rounded once to `type`.
inline std::vector<float> device_values(TensorType stored_type, FloatType type,
                                        const std::vector<std::byte>& stored, size_t n) {
  std::vector<float> values(n);
  if (weight_format(stored_type, type) == WeightFormat::kDense) {
    reference::dequantize(stored_type, stored, values);
    for (float& value : values) value = round_to(type, value);
    return values;
  }
  std::vector<reference::Quantised> elements(n);
  reference::unpack(stored_type, stored, elements);
  for (size_t i = 0; i < n; ++i) {
    const double d = f16_to_f32(f32_to_f16(elements[i].scale));
    const double m = has_zero_point(stored_type) ? elements[i].minimum
                                                 : f16_to_f32(f32_to_f16(elements[i].minimum));
    values[i] = round_to(type, d * elements[i].quant + m);
  }
  return values;
}

struct TestMatrix {
  TestMatrix(TensorType stored_type, FloatType type, int32_t n_out, int32_t n_in, std::mt19937& rng)
      : layout(matrix_layout(stored_type, type, n_out, n_in)), bytes(layout.n_bytes) {
    const auto n = static_cast<size_t>(n_out) * static_cast<size_t>(n_in);
    stored = random_stored(stored_type, static_cast<int64_t>(n), rng);
    values = device_values(stored_type, type, stored, n);
    ThreadPool pool(2);
    std::vector<std::byte> packed(layout.n_bytes);
    const StoredMatrix part{stored_type, stored, n_out};
    pack_matrix(layout, std::span(&part, 1), packed, pool);
    bytes.upload(packed);
  }

  DeviceMatrix matrix() const { return device_matrix(layout, bytes.data()); }
  DeviceLinear linear(const float* bias = nullptr) const { return {matrix(), bias}; }

  MatrixLayout layout;
  std::vector<std::byte> stored;
  std::vector<float> values;  // (n_out, n_in)
  DeviceBuffer<std::byte> bytes;
};

// x W^T in double; x: (n_rows, n_in), w: (n_out, n_in).
inline std::vector<double> plain_product(const std::vector<float>& x, const std::vector<float>& w,
                                         int32_t n_rows, int32_t n_out, int32_t n_in) {
  std::vector<double> y;
  for (int32_t row = 0; row < n_rows; ++row) {
    for (int32_t output = 0; output < n_out; ++output) {
      const float* a = x.data() + static_cast<int64_t>(row) * n_in;
      const float* b = w.data() + static_cast<int64_t>(output) * n_in;
      double sum = 0.0;
      for (int32_t k = 0; k < n_in; ++k) sum += static_cast<double>(a[k]) * b[k];
      y.push_back(sum);
    }
  }
  return y;
}

// What a product of n_in terms may differ by: n_in roundings in f32 of a sum of about sqrt(n_in)
// times a term's `size`, and the output's rounding to `type`. A thousandth of a term and less.
inline double product_tolerance(FloatType type, double expected, int32_t n_in, double size) {
  const double rounding = type == FloatType::kF16    ? 0x1p-11
                          : type == FloatType::kBf16 ? 0x1p-8
                                                     : 0x1p-22;
  return rounding * std::abs(expected) + 0x1p-24 * n_in * std::sqrt(n_in) * size;
}

inline double root_mean_square(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

}  // namespace prefold::cuda
