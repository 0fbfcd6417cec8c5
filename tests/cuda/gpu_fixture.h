// For tests of the CUDA engine. A kernel's test is a host file, tests/cuda/<kernel>_test.cc:
//
//   TEST_CASE("scale: every element is multiplied [smoke]") {
//     const std::vector<float> x = ...;
//     DeviceFloats in(FloatType::kF16, x);                // rounded to f16
//     DeviceFloats out(FloatType::kF16, x.size());        // unwritten
//     run_kernel("scale", launch_scale({.in = in.data(), .out = out.data(), .n = n}, nullptr));
//     CHECK(largest_difference(out.download(), expected_from(rounded(FloatType::kF16, x))) <
//     1e-3f);
//   }
//
// ctest runs each file by itself: all cases but those named [full] on a GPU if there is one, else
// in the emulator at capability 8.0, and again with its race detector, its check for uninitialised
// reads and two other orders of warps; the cases named [smoke], at least one a file, at
// capability 7.5 and 9.0 too; [full] and the rest at each capability with `ctest -C full -L
// gpu-full`. So keep the shapes of unmarked cases small (a few seconds a file; 1 to 6 G lane
// instructions a second) and name [full] what is a matrix. Any finding of the emulator makes the
// program exit with status 86.
//
// What a device cannot do (bf16 products before 8.0) returns early:
//   if (!gpu_has(8, 0, "bf16 products")) return;
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/half.h"
#include "cuda/device.h"
#include "cuda/error.h"
#include "kernels/cuda/types.h"

namespace prefold::cuda {

// The device of this program, looked for once. The case fails where there is none.
inline const GpuInfo& gpu() {
  static std::string why_not;
  static const std::optional<GpuInfo> device = find_cuda_device(why_not);
  REQUIRE_MESSAGE(device.has_value(), "no GPU: " << why_not);
  return *device;
}

inline bool gpu_has(int32_t cc_major, int32_t cc_minor, const std::string& what) {
  if (gpu().cc_major * 10 + gpu().cc_minor >= cc_major * 10 + cc_minor) return true;
  MESSAGE("left out: " << what << " need compute capability " << cc_major << "." << cc_minor);
  return false;
}

// Checks a launch and waits for the kernel, so that a fault is reported here.
inline void run_kernel(const char* kernel, cudaError_t launch_status) {
  check_launch(kernel, launch_status);
  check_cuda(kernel, cudaDeviceSynchronize());
}

// An array in device memory. T is copied byte by byte. Move only.
template <class T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t n) : n_(n) {  // unwritten
    check_cuda("allocation of a test's buffer",
               cudaMalloc(reinterpret_cast<void**>(&data_), n * sizeof(T)));
  }
  explicit DeviceBuffer(std::span<const T> values) : DeviceBuffer(values.size()) { upload(values); }
  explicit DeviceBuffer(const std::vector<T>& values) : DeviceBuffer(std::span(values)) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), n_(std::exchange(other.n_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(n_, other.n_);
    return *this;
  }
  ~DeviceBuffer() { (void)cudaFree(data_); }

  T* data() const { return data_; }
  size_t size() const { return n_; }

  void upload(std::span<const T> values) {
    REQUIRE(values.size() == n_);
    check_cuda("upload", cudaMemcpy(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  void fill_bytes(uint8_t byte) { check_cuda("fill", cudaMemset(data_, byte, n_ * sizeof(T))); }
  std::vector<T> download() const {  // waits for all kernels
    std::vector<T> values(n_);
    check_cuda("download",
               cudaMemcpy(values.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t n_ = 0;
};

inline size_t float_bytes(FloatType type) { return type == FloatType::kF32 ? 4 : 2; }

// The bytes of `values` rounded to `type`, and the values of such bytes.
inline std::vector<uint8_t> encode_floats(FloatType type, std::span<const float> values) {
  std::vector<uint8_t> bytes(values.size() * float_bytes(type));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == FloatType::kF32) {
      std::memcpy(&bytes[4 * i], &values[i], 4);
    } else {
      const uint16_t half =
          type == FloatType::kF16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
      std::memcpy(&bytes[2 * i], &half, 2);
    }
  }
  return bytes;
}

inline std::vector<float> decode_floats(FloatType type, std::span<const uint8_t> bytes) {
  std::vector<float> values(bytes.size() / float_bytes(type));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == FloatType::kF32) {
      std::memcpy(&values[i], &bytes[4 * i], 4);
    } else {
      uint16_t half = 0;
      std::memcpy(&half, &bytes[2 * i], 2);
      values[i] = type == FloatType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
    }
  }
  return values;
}

// Floats in device memory, stored as `type`.
class DeviceFloats {
 public:
  DeviceFloats(FloatType type, size_t n) : type_(type), buffer_(n * float_bytes(type)) {}
  DeviceFloats(FloatType type, std::span<const float> values)
      : type_(type), buffer_(encode_floats(type, values)) {}
  DeviceFloats(FloatType type, const std::vector<float>& values)
      : DeviceFloats(type, std::span(values)) {}

  void* data() const { return buffer_.data(); }
  template <class T>
  T* as() const {  // e.g. as<__half>()
    return reinterpret_cast<T*>(buffer_.data());
  }
  FloatType type() const { return type_; }
  size_t size() const { return buffer_.size() / float_bytes(type_); }
  std::vector<float> download() const { return decode_floats(type_, buffer_.download()); }
  // To compare bits.
  std::vector<uint8_t> download_bytes() const { return buffer_.download(); }

 private:
  FloatType type_;
  DeviceBuffer<uint8_t> buffer_;
};

// What is left of `values` when they are stored as `type`: the input that the kernel sees.
inline std::vector<float> rounded(FloatType type, std::span<const float> values) {
  return decode_floats(type, encode_floats(type, values));
}

// The largest |a - b|; infinite where one of them is NaN or the sizes differ.
inline float largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  float largest = 0.0f;
  for (size_t i = 0; i < a.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  return largest;
}

}  // namespace prefold::cuda
