#include "kernels/reference/gemm_int8.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace prefold::reference {
namespace {

constexpr int32_t kInputGroup = 32;

// 32 inputs as scale * quants.
struct InputGroup {
  float scale = 0.0f;
  int32_t quants[kInputGroup] = {};
};

InputGroup quantise(const float* x) {
  InputGroup group;
  float largest = 0.0f;
  for (int i = 0; i < kInputGroup; ++i) largest = std::max(largest, std::abs(x[i]));
  if (!(largest > 0x1p-100f)) return group;
  group.scale = largest * (1.0f / 127.0f);
  const float inverse = 127.0f / largest;
  for (int i = 0; i < kInputGroup; ++i) {
    group.quants[i] = static_cast<int32_t>(std::nearbyint(x[i] * inverse));  // half to even
  }
  return group;
}

}  // namespace

void gemm_int8(const float* x, int64_t x_stride, int32_t n_rows, const Quantised* w, int32_t n_out,
               int32_t n_in, int32_t group_k, bool has_min, const float* bias, bool add_to_out,
               float* out, int64_t out_stride) {
  for (int64_t m = 0; m < n_rows; ++m) {
    std::vector<InputGroup> inputs;
    for (int64_t k = 0; k < n_in; k += kInputGroup) {
      inputs.push_back(quantise(x + m * x_stride + k));
    }
    for (int64_t n = 0; n < n_out; ++n) {
      float acc = 0.0f;
      for (int64_t begin = 0; begin < n_in; begin += group_k) {
        const InputGroup& input = inputs[static_cast<size_t>(begin / kInputGroup)];
        const Quantised* weights = w + n * n_in + begin;
        int32_t product = 0, sum = 0;
        for (int64_t i = 0; i < group_k; ++i) {
          product += weights[i].quant * input.quants[begin % kInputGroup + i];
          sum += input.quants[begin % kInputGroup + i];
        }
        acc = std::fma(weights->scale, input.scale * static_cast<float>(product), acc);
        if (has_min) {
          acc = std::fma(weights->minimum, input.scale * static_cast<float>(sum), acc);
        }
      }
      if (bias != nullptr) acc = acc + bias[n];
      float& y = out[m * out_stride + n];
      y = add_to_out ? y + acc : acc;
    }
  }
}

}  // namespace prefold::reference
