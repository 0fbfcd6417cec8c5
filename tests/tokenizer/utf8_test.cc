#include "tokenizer/utf8.h"

#include <doctest/doctest.h>

#include <cstdint>

using namespace prefold;

namespace {

std::string lossy(std::string_view text) {
  std::string out;
  append_lossy_utf8(text, out);
  return out;
}

std::string encode_code_point(uint32_t code) {
  std::string text;
  const auto push = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
    return text;
  }
  const int n_more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  push((0xff00u >> (n_more + 1) & 0xff) | code >> 6 * n_more);
  for (int i = n_more - 1; i >= 0; --i) push(0x80 | (code >> 6 * i & 63));
  return text;
}

const std::string kBad(kReplacementCharacter);

}  // namespace

TEST_CASE("every code point but the surrogates is valid, at its shortest length only") {
  for (uint32_t code = 0; code < 0x110000; ++code) {
    const std::string text = encode_code_point(code);
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if ((find_invalid_utf8(text) == std::string_view::npos) == surrogate) FAIL_CHECK(code);
  }
  CHECK(find_invalid_utf8("\xc1\xbf") == 0);
  CHECK(find_invalid_utf8("\xe0\x9f\xbf") == 0);
  CHECK(find_invalid_utf8("\xf0\x8f\xbf\xbf") == 0);
  CHECK(find_invalid_utf8("\xf4\x90\x80\x80") == 0);
  CHECK(find_invalid_utf8("0123456789\xff") == 10);
}

TEST_CASE("each longest beginning of a character that breaks off is one U+FFFD") {
  // The example of the Unicode standard, section 3.9, table 3-8, and its neighbours 3-9 to 3-11.
  CHECK(lossy("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
              "A") == kBad + kBad + kBad + kBad + kBad + kBad + kBad + kBad + "A");
  CHECK(lossy("\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
              "A") == kBad + kBad + kBad + kBad + kBad + kBad + kBad + kBad + "A");
  CHECK(lossy("\xf4\x91\x92\x93\xff"
              "A\x80\xbf"
              "B") == kBad + kBad + kBad + kBad + kBad + "A" + kBad + kBad + "B");
  CHECK(lossy("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
              "A") == kBad + kBad + kBad + kBad + "A");
}

TEST_CASE("only a character that more bytes could finish is held back") {
  CHECK(complete_utf8_bytes("") == 0);
  CHECK(complete_utf8_bytes("ab") == 2);
  CHECK(complete_utf8_bytes("ab\xe2") == 2);
  CHECK(complete_utf8_bytes("ab\xe2\x96") == 2);
  CHECK(complete_utf8_bytes("ab\xe2\x96\x81") == 5);
  CHECK(complete_utf8_bytes("ab\xf0\x9f\x91") == 2);
  CHECK(complete_utf8_bytes("ab\xf0\x80") == 4);
  CHECK(complete_utf8_bytes("ab\xff") == 3);
  CHECK(complete_utf8_bytes("\x80\x80\x80\x80") == 4);
}
