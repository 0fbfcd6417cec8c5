#include "tokenizer/oniguruma.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "tokenizer/regex.h"

using namespace prefold;

namespace {

// All matches of an Oniguruma pattern in text.
std::vector<std::string> matches(const char* pattern, const std::string& text) {
  const Regex regex(translate_oniguruma(pattern));
  std::vector<std::string> found;
  Regex::Match match;
  for (size_t pos = 0; pos < text.size() && regex.find(text, pos, match);) {
    found.push_back(text.substr(match.begin, match.end - match.begin));
    pos = std::max(match.end, pos + 1);
  }
  return found;
}

using Words = std::vector<std::string>;

std::string refusal(const char* pattern) {
  try {
    translate_oniguruma(pattern);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what PCRE2 reads differently is said in its own way") {
  CHECK(matches(R"(\h+)", "af 12 xyz") == Words{"af", "12"});         // hexadecimal digits
  CHECK(matches("a{1,2}+", "aaaaa") == Words{"aaaaa"});               // an interval repeated
  CHECK(matches("a{,2}", "aaa") == Words{"aa", "a"});                 // from none to two
  CHECK(matches("a{x", "a{x") == Words{"a{x"});                       // no interval
  CHECK(matches("^b$", "a\nb\nc") == Words{"b"});                     // at every line
  CHECK(matches("(?m:a.b)", "a\nb") == Words{"a\nb"});                // m lets . match "\n"
  CHECK(matches("a.b", "a\nb a\rb") == Words{"a\rb"});                // "." is all but "\n"
  CHECK(matches(R"(\v)", "\n\v") == Words{"\v"});                     // one character
  CHECK(matches(R"([a-f&&[^bc]]+)", "abcdef") == Words{"a", "def"});  // intersection
  CHECK(matches(R"([[a-c]x]+)", "abx[") == Words{"abx"});             // a set in a set
  CHECK(matches("[^[a-c]x]+", "abx[y") == Words{"[y"});
  CHECK(matches(R"(\s+)", "\xe1\xa0\x8e a\xc2\x85") == Words{" ", "\xc2\x85"});  // not U+180E
  CHECK(matches(R"(\p{^L}+)", "ab12") == Words{"12"});
  CHECK(matches(R"(\p{Han}+)", "\xe6\x96\x87\xe3\x80\x81") == Words{"\xe6\x96\x87"});
  CHECK(matches("(?i)'s|K", "'\xc5\xbf k") == Words{"'\xc5\xbf", "k"});
  CHECK(matches(R"(\p{L}+)", "\xe1\xb2\x8a") == Words{"\xe1\xb2\x8a"});  // new in Unicode 16
  CHECK(matches(R"(\bab\b)", "ab abc ab") == Words{"ab", "ab"});
  CHECK(matches(R"((?<word>a)(b))", "ab") == Words{"ab"});
}

TEST_CASE("what cannot be said otherwise is refused with its name and place") {
  CHECK(refusal(R"((a)\1)") ==
        "the regular expression has \"\\1\" at byte 3, which is not supported");
  CHECK(refusal("a(?i)b|c") ==
        "the regular expression has \"(?i\" at byte 1, which is not supported");
  for (const char* pattern : {"(?i:ss)",
                              "(?i:\xc3\xa9)",
                              R"((?i:\p{L}))",
                              R"(\X)",
                              R"(\K)",
                              R"(\G)",
                              R"(\k<a>)",
                              "(?x: a)",
                              "a**",
                              "a{3}?",
                              "^*",
                              "(",
                              ")",
                              "[",
                              "[]",
                              "[a",
                              "[b-a]",
                              R"([a-\s])",
                              R"(\p{Foo})",
                              R"(\pL)",
                              "[[:alpha:]]",
                              "*",
                              R"(\)",
                              R"(\xff)",
                              R"(\x{110000})",
                              R"(\ud800)",
                              "(?#",
                              "(?<a",
                              "a{70000}",
                              "a{2,1}",
                              "(?~a)",
                              "(?(1)a)",
                              R"(\M-a)",
                              "(?R)",
                              "\xff",
                              "a|(?i)b"}) {
    CAPTURE(pattern);
    CHECK(refusal(pattern).find("not supported") != std::string::npos);
  }
  const std::string deep(300, '(');
  CHECK(refusal(deep.c_str()).find("nested") != std::string::npos);
}
