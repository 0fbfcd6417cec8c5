#include "io/result_line.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/error.h"
#include "io/finished_lines.h"
#include "io/result_writer.h"
#include "io/test_files.h"

namespace prefold {
namespace {

Request request_of_kind(LineKind kind, const std::string& id) {
  Request request;
  request.id = id;
  request.kind = kind;
  if (kind == LineKind::kOpenAiEmbedding) request.embedding = EmbeddingParams{};
  return request;
}

Result some_result(LineKind kind) {
  Result result;
  if (kind == LineKind::kOpenAiEmbedding) {
    result.embeddings = {{0.5f}};
  } else {
    result.choices.resize(1);
  }
  return result;
}

struct Scanned {
  std::vector<std::string> ids;  // with "!" behind those of error lines
  ResultScan scan;
};

Scanned scan(const std::string& path) {
  Scanned scanned;
  scanned.scan = scan_results(path, [&](const ResultHead& head) {
    scanned.ids.push_back(std::string(head.written_id) + (head.failed ? "!" : ""));
  });
  return scanned;
}

std::string error_of(const std::string& path) {
  try {
    scan(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

using Ids = std::vector<std::string>;
constexpr const char* kA = R"({"id":"a","text":"1","finish_reason":"stop","usage":{}})";
constexpr const char* kB = R"({"id":5,"error":{"code":"x","message":"y"}})";

}  // namespace

TEST_CASE("of every line that is written, the id and whether it failed are read back") {
  for (const LineKind kind : {LineKind::kShort, LineKind::kOpenAiChat, LineKind::kOpenAiCompletion,
                              LineKind::kOpenAiEmbedding}) {
    for (const std::string id : {"q-1", "with \"quotes\"", "\\", "tab\t, \xe2\x82\xac", "\xff raw",
                                 "batch_req_1", "in.jsonl:17", "}"}) {
      CAPTURE(id);
      const std::string answer = format_result(request_of_kind(kind, id), some_result(kind), {});
      const auto head = read_result_head(answer);
      REQUIRE(head);
      CHECK(head->written_id == written_id(id));
      CHECK_FALSE(head->failed);
      LineError line_error;
      line_error.id = id;
      line_error.kind = kind;
      line_error.failure = {"invalid_value", "m"};
      const std::string error = format_error(line_error);
      const auto failed = read_result_head(error);
      REQUIRE(failed);
      CHECK(failed->written_id == written_id(id));
      CHECK(failed->failed);
    }
  }
  Request integer = request_of_kind(LineKind::kShort, "-5");
  integer.id_is_integer = true;
  CHECK(read_result_head(format_result(integer, some_result(integer.kind), {}))->written_id ==
        "-5");
}

TEST_CASE("a scan counts whole lines and what is torn behind them") {
  TestFiles folder;
  const std::string two = std::string(kA) + "\n" + kB + "\n";
  const std::string whole = folder.write("whole", two);
  CHECK(scan(whole).ids == Ids{"a", "5!"});
  CHECK(scan(whole).scan.n_bytes == std::ssize(two));
  CHECK(scan(whole).scan.n_torn_bytes == 0);
  CHECK(scan(folder.path("none")).scan.n_lines == 0);

  for (size_t n = 1; n < std::string_view(kA).size(); ++n) {
    const std::string torn = folder.write("torn", two + std::string(kA, n));
    CHECK(scan(torn).ids == Ids{"a", "5!"});
    CHECK(scan(torn).scan.n_bytes == std::ssize(two));
    CHECK(scan(torn).scan.n_torn_bytes == static_cast<int64_t>(n));
  }
  const std::string endless = folder.write("endless", two + kA);
  CHECK(scan(endless).ids == Ids{"a", "5!", "a"});
  CHECK(scan(endless).scan.lacks_line_end);
}

TEST_CASE("bytes of zero end what is whole, and lines behind them are counted") {
  TestFiles folder;
  const std::string one = std::string(kA) + "\n";
  const std::string zeros(5000, '\0');
  const std::string tail = folder.write("tail", one + zeros);
  CHECK(scan(tail).ids == Ids{"a"});
  CHECK(scan(tail).scan.n_torn_bytes == 5000);
  const std::string hole = folder.write("hole", one + "{\"id" + zeros + "\"}\n" + kB + "\n" + kA);
  CHECK(scan(hole).ids == Ids{"a"});
  CHECK(scan(hole).scan.n_bytes == std::ssize(one));
  CHECK(scan(hole).scan.n_torn_lines == 2);
}

TEST_CASE("what no crash leaves is an error that names the line, never cut off") {
  TestFiles folder;
  const std::string one = std::string(kA) + "\n";
  const std::string reason = "no result line of this program: mend or delete it, then resume again";
  const std::string edited = folder.write("edited", one + "# a note\n" + one);
  CHECK(error_of(edited) == edited + ":2: " + reason);
  const std::string spaced = folder.write("spaced", "{\"id\": \"a\", \"text\": \"\"}\n");
  CHECK(error_of(spaced) == spaced + ":1: " + reason);
  const std::string foreign = folder.write("foreign", "a night's work");
  CHECK(error_of(foreign) == foreign + ":1: " + reason);
}

TEST_CASE("lines longer than the scanner's buffers are scanned as others are") {
  TestFiles folder;
  const std::string big = R"({"id":"big","text":")" + std::string(3'000'000, 'x') + "\"}";
  const std::string path = folder.write("big", std::string(kA) + "\n" + big + "\n" + kB + "\n");
  CHECK(scan(path).ids == Ids{"a", "big", "5!"});
  CHECK(scan(folder.write("cut", big.substr(0, 2'500'000))).scan.n_lines == 0);
  CHECK(scan(folder.write("endless", big)).scan.lacks_line_end);
}

TEST_CASE("finished lines are known by id, answers and error lines apart") {
  FinishedLines finished;
  finished.add({written_id("say \"hi\""), false});
  finished.add({"5", true});
  CHECK(finished.has_answer("say \"hi\""));
  CHECK_FALSE(finished.has_failure("say \"hi\""));
  CHECK(finished.has_failure("5"));
  CHECK_FALSE(finished.has_answer("5"));
  CHECK(finished.size() == 2);
}

}  // namespace prefold
