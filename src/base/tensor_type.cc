#include "base/tensor_type.h"

#include <array>

#include "base/check.h"

namespace prefold {
namespace {

// Layouts: kernels/reference/dequantize.h.
constexpr std::array<TensorTypeTraits, 19> kTraits{{
    {TensorType::kF32, "F32", 1, 4},
    {TensorType::kF16, "F16", 1, 2},
    {TensorType::kBF16, "BF16", 1, 2},
    {TensorType::kQ4_0, "Q4_0", 32, 18},
    {TensorType::kQ4_1, "Q4_1", 32, 20},
    {TensorType::kQ5_0, "Q5_0", 32, 22},
    {TensorType::kQ5_1, "Q5_1", 32, 24},
    {TensorType::kQ8_0, "Q8_0", 32, 34},
    {TensorType::kQ2_K, "Q2_K", 256, 84},
    {TensorType::kQ3_K, "Q3_K", 256, 110},
    {TensorType::kQ4_K, "Q4_K", 256, 144},
    {TensorType::kQ5_K, "Q5_K", 256, 176},
    {TensorType::kQ6_K, "Q6_K", 256, 210},
    {TensorType::kIQ4_NL, "IQ4_NL", 32, 18},
    {TensorType::kIQ4_XS, "IQ4_XS", 256, 136},
    {TensorType::kMXFP4, "MXFP4", 32, 17},
    {TensorType::kInt4_32, "INT4_32", 32, 19},
    {TensorType::kInt4_64, "INT4_64", 64, 35},
    {TensorType::kInt4_128, "INT4_128", 128, 67},
}};

}  // namespace

const TensorTypeTraits* find_tensor_type(int64_t gguf_number) {
  if (gguf_number >= static_cast<int64_t>(TensorType::kInt4_32)) return nullptr;
  for (const TensorTypeTraits& traits : kTraits) {
    if (static_cast<int64_t>(traits.type) == gguf_number) return &traits;
  }
  return nullptr;
}

const TensorTypeTraits& traits_of(TensorType type) {
  for (const TensorTypeTraits& traits : kTraits) {
    if (traits.type == type) return traits;
  }
  CHECK(false);
  return kTraits[0];
}

}  // namespace prefold
