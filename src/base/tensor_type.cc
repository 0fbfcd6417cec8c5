#include "base/tensor_type.h"

#include <array>

#include "base/check.h"

namespace prefold {
namespace {

// Layouts: kernels/reference/dequantize.h.
constexpr std::array<TensorTypeTraits, 13> kTraits{{
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
}};

}  // namespace

const TensorTypeTraits* find_tensor_type(int64_t gguf_number) {
  for (const TensorTypeTraits& traits : kTraits) {
    if (static_cast<int64_t>(traits.type) == gguf_number) return &traits;
  }
  return nullptr;
}

const TensorTypeTraits& traits_of(TensorType type) {
  const TensorTypeTraits* traits = find_tensor_type(static_cast<int64_t>(type));
  CHECK(traits != nullptr);
  return *traits;
}

}  // namespace prefold
