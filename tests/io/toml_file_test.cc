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

TEST_CASE("settings in file order: texts, numbers, words, arrays over several lines, comments") {
  const auto settings = parse_toml(
      "# a job\n"
      "model = \"a # b.gguf\"  # not a comment before\n"
      "path='C:\\x'\r\n"
      "\n"
      "threads = 1_000\ntemperature = -0.7e-1\nordered = true\n"
      "input = [ \"a.jsonl\", # the first\n  'b, c.jsonl' ,\n]\n"
      "none = []\nbig = 0x7fffffffffffffff\n",
      "job.toml");
  REQUIRE(settings.size() == 8);
  CHECK(settings[0] == TomlSetting{"model", 2, false, {text_value("a # b.gguf")}});
  CHECK(settings[1] == TomlSetting{"path", 3, false, {text_value("C:\\x")}});
  CHECK(settings[2] == TomlSetting{"threads", 5, false, {{TomlType::kNumber, "1000"}}});
  CHECK(settings[3] == TomlSetting{"temperature", 6, false, {{TomlType::kNumber, "-0.07"}}});
  CHECK(settings[4] == TomlSetting{"ordered", 7, false, {{TomlType::kBool, "true"}}});
  CHECK(settings[5] ==
        TomlSetting{"input", 8, true, {text_value("a.jsonl"), text_value("b, c.jsonl")}});
  CHECK(settings[6] == TomlSetting{"none", 11, true, {}});
  CHECK(settings[7].values[0].text == "9223372036854775807");
}

TEST_CASE("a byte order mark and an empty file are fine") {
  CHECK(parse_toml("\xEF\xBB\xBF"
                   "a = 1",
                   "job.toml")
            .size() == 1);
  CHECK(parse_toml("", "job.toml").empty());
  CHECK(parse_toml(" \n# nothing\r\n", "job.toml").empty());
}

TEST_CASE("what is wrong is named with file and line") {
  CHECK(error_of("a = 1\na = 2").starts_with("job.toml:2: "));
  CHECK(error_of("\na = x.gguf").starts_with("job.toml:2: "));
  CHECK(error_of("a = \"x\nb = 1").starts_with("job.toml:1: "));
  CHECK(error_of("a = \"\\x\"").starts_with("job.toml:1: "));
  CHECK(error_of("\n\na = \"\xff\"").starts_with("job.toml:3: "));
  CHECK(error_of("\n[run]") ==
        "job.toml:2: tables are not used here; all keys stand at the top, without dots");
  CHECK(error_of("a.b = 3") ==
        "job.toml:1: tables are not used here; all keys stand at the top, without dots");
  const std::string expected =
      "job.toml:2: \"a\": expected a string, a number, true, false or an array of these";
  CHECK(error_of("\na = 1979-05-27") == expected);
  CHECK(error_of("\na = [[1]]") == expected);
}

}  // namespace
}  // namespace prefold
