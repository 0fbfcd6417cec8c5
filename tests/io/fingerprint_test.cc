#include "io/fingerprint.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace prefold {
namespace {

TEST_CASE("fingerprints are SipHash-2-4-128: the reference vectors") {
  const FingerprintKey key{0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
  CHECK(to_hex(fingerprint(key, "")) == "a3817f04ba25a8e66df67214c7550293");
  CHECK(to_hex(fingerprint(key, std::string(1, '\0'))) == "da87c1d86b99af44347659119b22fc45");
}

TEST_CASE("a fingerprint depends on every byte and on the length") {
  const auto of = [](std::string_view text) { return to_hex(fingerprint({0, 0}, text)); };
  CHECK(of("request-1") != of("request-2"));
  CHECK(of(std::string(7, '\0')) != of(std::string(8, '\0')));
  CHECK(of("0123456789abcdef") != of("0123456789abcdeF"));
}

TEST_CASE("a text that comes in parts has the fingerprint of the whole") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  const FingerprintKey key{3, 5};
  for (size_t n_part = 1; n_part < 40; ++n_part) {
    FingerprintStream stream(key);
    for (size_t i = 0; i < text.size(); i += n_part) {
      stream.add(std::string_view(text).substr(i, n_part));
      CHECK(stream.value() == fingerprint(key, std::string_view(text).substr(0, i + n_part)));
    }
    CHECK(stream.n_bytes() == 300);
  }
}

TEST_CASE("a set of 200000 strings knows each of them") {
  FingerprintSet set;
  for (int i = 0; i < 200'000; ++i) REQUIRE(set.insert(fmt::format("prompts.jsonl:{}", i)));
  CHECK(set.size() == 200'000);
  for (int i = 0; i < 200'000; ++i) REQUIRE_FALSE(set.insert(fmt::format("prompts.jsonl:{}", i)));
  CHECK(set.contains("prompts.jsonl:7"));
  CHECK_FALSE(set.contains("prompts.jsonl:200000"));
  CHECK(set.insert(""));
  CHECK_FALSE(set.insert(""));
}

}  // namespace
}  // namespace prefold
