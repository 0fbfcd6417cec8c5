#include "base/half.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace prefold {
namespace {

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }

TEST_CASE("f16: known values, subnormals and infinities widen exactly") {
  CHECK(f16_to_f32(0x3c00) == 1.0f);
  CHECK(f16_to_f32(0xc000) == -2.0f);
  CHECK(f16_to_f32(0x7bff) == 65504.0f);
  CHECK(f16_to_f32(0x0400) == 0x1p-14f);
  CHECK(f16_to_f32(0x03ff) == 1023 * 0x1p-24f);
  CHECK(f16_to_f32(0x8001) == -0x1p-24f);
  CHECK(bits(f16_to_f32(0x8000)) == 0x80000000u);
  CHECK(f16_to_f32(0x7c00) == std::numeric_limits<float>::infinity());
  CHECK(bits(f16_to_f32(0xfd55)) == 0xffeaa000u);  // a signalling NaN is made quiet
}

TEST_CASE("f16: narrowing gives back every half that was widened") {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float wide = f16_to_f32(half);
    if (std::isnan(wide)) {
      CHECK(f32_to_f16(wide) == (half | 0x200));
    } else {
      REQUIRE(f32_to_f16(wide) == half);
    }
  }
}

TEST_CASE("f16: narrowing rounds to nearest, ties to even, between all neighbours") {
  for (uint32_t h = 0; h < 0x7c00; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const double low = f16_to_f32(half);
    const double high = h == 0x7bff ? 65536.0 : f16_to_f32(static_cast<uint16_t>(h + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    const uint32_t even = h + (h & 1);
    REQUIRE(f32_to_f16(middle) == even);
    REQUIRE(f32_to_f16(std::nextafter(middle, 0.0f)) == h);
    REQUIRE(f32_to_f16(std::nextafter(middle, 1e9f)) == h + 1);
    REQUIRE(f32_to_f16(-middle) == (even | 0x8000));
  }
  CHECK(f32_to_f16(1e-30f) == 0);
  CHECK(f32_to_f16(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(f32_to_f16(std::numeric_limits<float>::max()) == 0x7c00);
  CHECK(f32_to_f16(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(f32_to_f16(std::bit_cast<float>(0x7f800001u)) == 0x7e00);  // stays a NaN
}

TEST_CASE("bf16: widening is exact and narrowing rounds to nearest, ties to even") {
  for (uint32_t h = 0; h < 0x7f80; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float value = bf16_to_f32(half);
    REQUIRE(bits(value) == h << 16);
    REQUIRE(f32_to_bf16(value) == h);
    const float middle = std::bit_cast<float>(h << 16 | 0x8000u);
    REQUIRE(f32_to_bf16(middle) == h + (h & 1));
    REQUIRE(f32_to_bf16(std::bit_cast<float>(bits(middle) + 1)) == h + 1);
    REQUIRE(f32_to_bf16(-middle) == ((h + (h & 1)) | 0x8000));
  }
  CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x7f800001u)) == 0x7fc0);
  CHECK(std::isnan(bf16_to_f32(0x7f81)));
}

}  // namespace
}  // namespace prefold
