#include "io/source_marker.h"

#include <doctest/doctest.h>

#include <fstream>
#include <vector>

#include "base/error.h"
#include "io/request_reader.h"
#include "io/shard_files.h"
#include "temp_folder.h"

using namespace prefold;

namespace {

std::vector<InputLine> read_lines(const std::vector<std::string>& paths,
                                  std::vector<std::string>& texts) {
  LineSource source(paths);
  std::vector<InputLine> lines;
  InputLine line;
  while (source.next(line)) {
    texts.emplace_back(line.text);
    lines.push_back(line);
  }
  return lines;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("markers are read as they are written") {
  const SourceMarker marker{{"a \"b\".jsonl", 17, true}, true};
  const std::optional<SourceMarker> read = read_source_marker(format_source_marker(marker));
  REQUIRE(read);
  CHECK(read->source.file == marker.source.file);
  CHECK(read->source.line == 17);
  CHECK(read->source.repeats_id);
  CHECK(read->too_long);
  CHECK(format_source_marker({{"a", 1}, false}) == R"({"prefold_source":{"file":"a","line":1}})");
}

TEST_CASE("what is no marker is a line like others") {
  for (const char* line :
       {R"({"prompt":"x"})", R"({"prefold_source":1})", R"({"prefold_source":{}})",
        R"({"prefold_source":{"file":"a"}})", R"({"prefold_source":{"file":"","line":1}})",
        R"({"prefold_source":{"file":"a","line":0}})",
        R"({"prefold_source":{"file":"a","line":1.5}})",
        R"({"prefold_source":{"file":"a","line":18446744073709551615}})",
        R"({"prefold_source":{"file":"a","line":1,"more":true}})",
        R"({"prefold_source":{"file":"a","line":1},"prompt":"x"})",
        R"({"prefold_source":{"file":"a","line":1)",
        R"( {"prefold_source":{"file":"a","line":1}})"}) {
    CAPTURE(line);
    CHECK_FALSE(read_source_marker(line));
  }
  CHECK_FALSE(read_source_marker(
      format_source_marker({{std::string(5000, 'a'), 1}, false})));  // names become part of ids
}

TEST_CASE("lines have the names that markers give them") {
  const TempFolder folder;
  folder.write("x",
               "\xef\xbb\xbf"
               R"({"prefold_source":{"file":"a","line":7}})"
               "\n"
               "one\n\nthree\n"
               R"({"prefold_source":{"file":"b","line":1,"repeats_id":true}})"
               "\n"
               "\xef\xbb\xbf"
               "four\nfive");
  folder.write("y", "six\n");
  std::vector<std::string> texts;
  const std::vector<InputLine> lines =
      read_lines({folder.path() + "/x", folder.path() + "/y"}, texts);
  CHECK(texts == std::vector<std::string>{"one", "three",
                                          "\xef\xbb\xbf"
                                          "four",
                                          "five", "six"});
  const std::vector<std::string> files{"a", "a", "b", "b", folder.path() + "/y"};
  const int64_t numbers[] = {7, 9, 1, 2, 1};
  for (size_t i = 0; i < lines.size(); ++i) {
    CHECK(lines[i].source.file == files[i]);
    CHECK(lines[i].source.line == numbers[i]);
    CHECK(lines[i].source.repeats_id == (i == 2));
  }
}

TEST_CASE("a line whose id another shard has fails as it would in one file") {
  const TempFolder folder;
  folder.write("whole", R"({"id":"a","prompt":"x"})"
                        "\n"
                        R"({"id":"a","prompt":"y"})"
                        "\n");
  const std::string name = folder.path() + "/whole";
  folder.write("part", format_source_marker({{name, 2, true}, false}) + "\n" +
                           R"({"id":"a","prompt":"y"})"
                           "\n");
  RequestReader whole({name}, {});
  whole.next();
  const LineError expected = std::get<LineError>(*whole.next());
  RequestReader part({folder.path() + "/part"}, {});
  const LineError error = std::get<LineError>(*part.next());
  CHECK(error.failure.code == "duplicate_id");
  CHECK(error.failure.message == expected.failure.message);
  CHECK(error.id == expected.id);
}

TEST_CASE("files that lines are divided among") {
  const TempFolder folder;
  folder.write("in", "one\r\r\n\ntwo\nthree\n" + std::string(100, 'x') + "\nfive");
  const std::string in = folder.path() + "/in";
  const std::vector<std::string> outputs{folder.path() + "/0", folder.path() + "/1",
                                         folder.path() + "/none"};
  ShardFiles files(outputs);
  LineSource source({in}, 50);
  InputLine line;
  for (const int32_t to : {0, 1, 1, 0, 0}) {
    REQUIRE(source.next(line));
    files.add(to, line);
  }
  const std::vector<FileDigest> digests = files.finish();
  const auto marker = [&](int64_t number) {
    return format_source_marker({{in, number}, false}) + "\n";
  };
  CHECK(text_of(outputs[1]) == marker(3) + "two\nthree\n");
  CHECK(text_of(outputs[2]).empty());
  for (size_t i = 0; i < outputs.size(); ++i) CHECK(digest_of_file(outputs[i]) == digests[i]);
  std::vector<std::string> texts;
  const std::vector<InputLine> lines = read_lines({outputs[0]}, texts);
  REQUIRE(lines.size() == 3);
  CHECK(texts[0] == "one\r");
  CHECK(lines[1].too_long);
  CHECK(lines[1].source.line == 5);
  CHECK_FALSE(lines[2].too_long);
  CHECK(lines[2].source.line == 6);
  CHECK_THROWS_AS(ShardFiles({folder.path() + "/no/such"}), Error);
}
