#include "io/toml_file.h"

#include <doctest/doctest.h>

#include "base/error.h"

namespace prefold {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_toml(text, "job.toml");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "none";
}

TomlValue text_value(std::string text) { return {TomlType::kString, std::move(text)}; }

TEST_CASE("settings: texts, numbers, words, arrays over several lines, comments") {
  const auto settings = parse_toml(
      "# a job\n"
      "model = \"a # b.gguf\"  # not a comment before\n"
      "path='C:\\x'\r\n"
      "\n"
      "threads = 1_000\ntemperature = -0.7e-1\nordered = true\n"
      "input = [ \"a.jsonl\", # the first\n  'b, c.jsonl' ,\n]\n"
      "none = []",
      "job.toml");
  REQUIRE(settings.size() == 7);
  CHECK(settings[0] == TomlSetting{"model", 2, false, {text_value("a # b.gguf")}});
  CHECK(settings[1] == TomlSetting{"path", 3, false, {text_value("C:\\x")}});
  CHECK(settings[2] == TomlSetting{"threads", 5, false, {{TomlType::kNumber, "1000"}}});
  CHECK(settings[3] == TomlSetting{"temperature", 6, false, {{TomlType::kNumber, "-0.7e-1"}}});
  CHECK(settings[4] == TomlSetting{"ordered", 7, false, {{TomlType::kBool, "true"}}});
  CHECK(settings[5] ==
        TomlSetting{"input", 8, true, {text_value("a.jsonl"), text_value("b, c.jsonl")}});
  CHECK(settings[6] == TomlSetting{"none", 11, true, {}});
}

TEST_CASE("escapes in double quotes become what they stand for") {
  const auto settings =
      parse_toml(R"(a = "\b\t\n\f\r\"\\ \u00e9 \u20ac \U0001f600 \u0041")", "job.toml");
  REQUIRE(settings.size() == 1);
  CHECK(settings[0].values[0].text == "\b\t\n\f\r\"\\ \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 A");
}

TEST_CASE("a byte order mark and an empty file are fine") {
  CHECK(parse_toml("\xEF\xBB\xBF"
                   "a = 1",
                   "job.toml")
            .size() == 1);
  CHECK(parse_toml("", "job.toml").empty());
  CHECK(parse_toml(" \n# nothing\r\n", "job.toml").empty());
}

TEST_CASE("what is wrong is named with file, line and key") {
  CHECK(error_of("a = 1\na = 2") == "job.toml:2: \"a\" stands in line 1 already");
  CHECK(error_of("\n[run]") == "job.toml:2: tables are not used here; all keys stand at the top");
  CHECK(error_of("model \"x\"") == "job.toml:1: no = behind \"model\"");
  CHECK(error_of("= 3") == "job.toml:1: \"= 3\"; expected key = value");
  CHECK(error_of("a.b = 3") == "job.toml:1: no = behind \"a\"");
  CHECK(error_of("a = x.gguf") ==
        "job.toml:1: \"a\" is \"x.gguf\"; expected a text in quotes, a decimal number, true or "
        "false");
  CHECK(error_of("a =") ==
        "job.toml:1: \"a\" is empty; expected a text in quotes, a decimal number, true or false");
  CHECK(error_of("a = \"x\nb = 1") == "job.toml:1: the text of \"a\" has no quote at its end");
  CHECK(error_of("a = 'x\r\nb = 1") == "job.toml:1: the text of \"a\" has no quote at its end");
  CHECK(error_of("a = 1 b = 2") == "job.toml:1: \"b = 2\" behind the value of \"a\"");
  CHECK(error_of("\na = [1,\n2") == "job.toml:2: the array \"a\" has no ] at its end");
  CHECK(error_of("a = [1 2]") == "job.toml:1: \"2]\" in the array \"a\"; expected , or ]");
  CHECK(error_of("a = [[1]]").starts_with("job.toml:1: \"a\" is \"[1\"; expected a text"));
  CHECK(error_of("a = \"\"\"x\"\"\"") ==
        "job.toml:1: \"a\": texts of several lines are not used here");
  CHECK(error_of("a = \"\\x\"") == "job.toml:1: \"a\": no escape of TOML: \"\\\\x\\\"\"");
  CHECK(error_of("a = \"\\ud800\"").starts_with("job.toml:1: \"a\": no escape of TOML"));
  CHECK(error_of("a = \"\\u12\"").starts_with("job.toml:1: \"a\": no escape of TOML"));
  CHECK(error_of("\na = \"\x01\"") == "job.toml:2: control character 0x01");
  CHECK(error_of("a = 1\rb = 2") == "job.toml:1: control character 0x0d");
  CHECK(error_of("\n\na = \"\xff\"") == "job.toml:3: not UTF-8");
}

TEST_CASE("numbers are those of TOML, in decimal") {
  for (const char* good :
       {"0", "-0", "+5", "10", "1_0", "0.5", "1e6", "1E-6", "-1.5e+3", "1_2.3_4"}) {
    CAPTURE(good);
    CHECK(error_of(std::string("a = ") + good) == "none");
  }
  for (const char* bad : {"01", "1_", "_1", "1__0", ".5", "5.", "1e", "0x10", "inf", "nan", "--1",
                          "1.e5", "1979-05-27", "true1", "True"}) {
    CAPTURE(bad);
    CHECK(error_of(std::string("a = ") + bad) != "none");
  }
}

}  // namespace
}  // namespace prefold
