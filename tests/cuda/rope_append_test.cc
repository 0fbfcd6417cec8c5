#include "kernels/cuda/rope_append.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "cuda/gpu_fixture.h"
#include "plan/row_span.h"

namespace prefold::cuda {
namespace {

struct RopeShape {
  FloatType type;
  int32_t n_heads, n_kv_heads, head_dim, rotary_dim;
  bool is_interleaved;
};

constexpr int32_t kPositions = 50;
constexpr int32_t kBlocks = 3;

std::vector<float> random_values(std::mt19937& random, size_t n) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// One head, in double.
std::vector<float> rotated(const RopeShape& shape, std::span<const float> head,
                           std::span<const float> cos, std::span<const float> sin) {
  std::vector<float> out(head.begin(), head.end());
  const int32_t half = shape.rotary_dim / 2;
  for (int32_t i = 0; i < half; ++i) {
    const int32_t a = shape.is_interleaved ? 2 * i : i;
    const int32_t b = shape.is_interleaved ? 2 * i + 1 : i + half;
    out[a] = static_cast<float>(double{head[a]} * cos[i] - double{head[b]} * sin[i]);
    out[b] = static_cast<float>(double{head[a]} * sin[i] + double{head[b]} * cos[i]);
  }
  return out;
}

void check_rope_append(const RopeShape& shape) {
  CAPTURE(static_cast<int>(shape.type));
  CAPTURE(shape.head_dim);
  CAPTURE(shape.rotary_dim);
  CAPTURE(shape.is_interleaved);
  std::mt19937 random(7);
  const std::vector<int32_t> positions = {0, 49, 7, 33, 3};
  const std::vector<int32_t> slots = {2 * kKvBlockTokens + 31, 5, -1, 40, 0};
  const auto n_rows = static_cast<int32_t>(positions.size());
  // q, k and v side by side, as one product gives them.
  const int32_t q_dim = shape.n_heads * shape.head_dim;
  const int32_t kv_dim = shape.n_kv_heads * shape.head_dim;
  const int32_t stride = q_dim + 2 * kv_dim;
  const std::vector<float> qkv =
      rounded(shape.type, random_values(random, static_cast<size_t>(n_rows) * stride));
  const int32_t half = shape.rotary_dim / 2;
  std::vector<float> cos, sin;
  for (int32_t i = 0; i < kPositions * half; ++i) {
    cos.push_back(std::cos(static_cast<float>(i) * 0.37f));
    sin.push_back(std::sin(static_cast<float>(i) * 0.37f));
  }
  const size_t n_cache = static_cast<size_t>(kBlocks) * kv_dim * kKvBlockTokens;
  const std::vector<float> unwritten(n_cache, NAN);

  DeviceFloats x(shape.type, qkv), k_cache(shape.type, unwritten), v_cache(shape.type, unwritten);
  const DeviceBuffer<float> device_cos(cos), device_sin(sin);
  const DeviceBuffer<int32_t> device_positions(positions), device_slots(slots);
  auto* bytes = static_cast<uint8_t*>(x.data());
  const RopeAppendArgs args = {
      .type = shape.type,
      .q = bytes,
      .k = bytes + q_dim * float_bytes(shape.type),
      .v = bytes + (q_dim + kv_dim) * float_bytes(shape.type),
      .q_stride = stride,
      .k_stride = stride,
      .v_stride = stride,
      .n_rows = n_rows,
      .n_heads = shape.n_heads,
      .n_kv_heads = shape.n_kv_heads,
      .head_dim = shape.head_dim,
      .cos = device_cos.data(),
      .sin = device_sin.data(),
      .rotary_dim = shape.rotary_dim,
      .is_interleaved = shape.is_interleaved,
      .positions = device_positions.data(),
      .kv_slots = device_slots.data(),
      .k_cache = k_cache.data(),
      .v_cache = v_cache.data(),
  };
  run_kernel("rope_append", launch_rope_append(args, nullptr));

  std::vector<float> expected = qkv, expected_k = unwritten, expected_v = unwritten;
  for (int32_t row = 0; row < n_rows; ++row) {
    const std::span row_cos = std::span(cos).subspan(positions[row] * half, half);
    const std::span row_sin = std::span(sin).subspan(positions[row] * half, half);
    for (int32_t head = 0; head < shape.n_heads + 2 * shape.n_kv_heads; ++head) {
      const int64_t at = int64_t{row} * stride + head * shape.head_dim;
      const std::span from = std::span(qkv).subspan(at, shape.head_dim);
      const bool is_v = head >= shape.n_heads + shape.n_kv_heads;
      const std::vector<float> turned = is_v ? std::vector<float>(from.begin(), from.end())
                                             : rotated(shape, from, row_cos, row_sin);
      if (head < shape.n_heads) {
        std::copy(turned.begin(), turned.end(), expected.begin() + at);
      } else if (slots[row] >= 0) {
        const int32_t kv_head = (head - shape.n_heads) % shape.n_kv_heads;
        const int64_t block_head = slots[row] / kKvBlockTokens * shape.n_kv_heads + kv_head;
        const int64_t to =
            (block_head * kKvBlockTokens + slots[row] % kKvBlockTokens) * shape.head_dim;
        std::copy(turned.begin(), turned.end(), (is_v ? expected_v : expected_k).begin() + to);
      }
    }
  }
  const float tolerance = shape.type == FloatType::kF16    ? 2e-3f
                          : shape.type == FloatType::kBf16 ? 1.6e-2f
                                                           : 1e-6f;
  CHECK(largest_difference(x.download(), expected) <= tolerance);
  const std::vector<float> k = k_cache.download(), v = v_cache.download();
  int32_t n_wrong = 0;
  for (size_t i = 0; i < n_cache; ++i) {
    const bool is_k_right =
        std::isnan(expected_k[i]) ? std::isnan(k[i]) : std::fabs(k[i] - expected_k[i]) <= tolerance;
    const bool is_v_right = std::isnan(expected_v[i]) ? std::isnan(v[i]) : v[i] == expected_v[i];
    n_wrong += is_k_right && is_v_right ? 0 : 1;
  }
  CHECK(n_wrong == 0);
}

}  // namespace

TEST_CASE("rope and append: q in place, k and v in their slots, nothing else changed [smoke]") {
  for (const bool is_interleaved : {false, true}) {
    check_rope_append({FloatType::kF16, 8, 2, 64, 64, is_interleaved});
    check_rope_append({FloatType::kF32, 3, 1, 80, 32, is_interleaved});
    if (gpu_has(8, 0, "bf16"))
      check_rope_append({FloatType::kBf16, 4, 4, 128, 128, is_interleaved});
  }
}

TEST_CASE("rope and append: without positions, q stays and k is stored as it is [smoke]") {
  for (const FloatType type : {FloatType::kF16, FloatType::kF32}) {
    for (const bool is_interleaved : {false, true}) {
      check_rope_append({type, 4, 2, 48, 0, is_interleaved});
    }
  }
}

TEST_CASE("rope and append: rotated parts that are no whole pieces of 16 bytes") {
  for (const FloatType type : {FloatType::kF16, FloatType::kBf16, FloatType::kF32}) {
    for (const int32_t rotary_dim : {2, 12, 20, 24, 40}) {
      check_rope_append({type, 2, 1, 48, rotary_dim, false});
      check_rope_append({type, 2, 1, 48, rotary_dim, true});
    }
  }
}

}  // namespace prefold::cuda
