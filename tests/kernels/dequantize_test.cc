#include "kernels/reference/dequantize.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace prefold {
namespace {

constexpr TensorType kAllTypes[] = {
    TensorType::kF32,  TensorType::kF16,    TensorType::kBF16,   TensorType::kQ4_0,
    TensorType::kQ4_1, TensorType::kQ5_0,   TensorType::kQ5_1,   TensorType::kQ8_0,
    TensorType::kQ2_K, TensorType::kQ3_K,   TensorType::kQ4_K,   TensorType::kQ5_K,
    TensorType::kQ6_K, TensorType::kIQ4_NL, TensorType::kIQ4_XS, TensorType::kMXFP4};

// Stored blocks and the values gguf-py gives for them (scripts/make_gguf_oracle.py).
struct Oracle {
  std::vector<char> stored;
  std::vector<float> values;
};

Oracle read_oracle(const TensorTypeTraits& traits) {
  std::ifstream file("tests/data/gguf/" + std::string(traits.name) + ".bin", std::ios::binary);
  const std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
  const size_t per_block = static_cast<size_t>(traits.block_bytes + 4 * traits.block_elements);
  REQUIRE(!content.empty());
  REQUIRE(content.size() % per_block == 0);
  const size_t n_blocks = content.size() / per_block;
  const size_t n_stored = n_blocks * static_cast<size_t>(traits.block_bytes);
  Oracle oracle;
  oracle.stored.assign(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(n_stored));
  oracle.values.resize(n_blocks * static_cast<size_t>(traits.block_elements));
  std::memcpy(oracle.values.data(), content.data() + n_stored, content.size() - n_stored);
  return oracle;
}

TEST_CASE(
    "every type dequantises to the bits that gguf-py gives, random and extreme blocks alike") {
  for (const TensorType type : kAllTypes) {
    const TensorTypeTraits& traits = traits_of(type);
    CAPTURE(std::string(traits.name));
    const Oracle oracle = read_oracle(traits);
    std::vector<float> values(oracle.values.size());
    reference::dequantize(type, std::as_bytes(std::span(oracle.stored)), values);
    for (size_t i = 0; i < values.size(); ++i) {
      CAPTURE(i);
      if (std::isnan(oracle.values[i])) {
        REQUIRE(std::isnan(values[i]));  // its sign and payload mean nothing
      } else {
        REQUIRE(std::bit_cast<uint32_t>(values[i]) == std::bit_cast<uint32_t>(oracle.values[i]));
      }
    }
  }
}

TEST_CASE("nothing to dequantise gives nothing") {
  reference::dequantize(TensorType::kQ4_K, {}, {});
}

}  // namespace
}  // namespace prefold
