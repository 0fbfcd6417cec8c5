// Against transformers' own rendering (scripts/make_template_oracle.py): the same bytes, or an
// error where it fails.
#include "tokenizer/chat_template.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

using prefold::ChatTemplate;
using Json = nlohmann::ordered_json;

namespace {

const std::string kFolder = "tests/data/templates/";

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in, "cannot read " << path);
  return {std::istreambuf_iterator<char>(in), {}};
}

Json read_oracle(const std::string& name) {
  // The oracle was made in UTC, and strftime_now is local time.
  setenv("TZ", "UTC", 1);
  tzset();
  return Json::parse(read_file(kFolder + name));
}

struct Outcome {
  bool failed = false;
  bool compiled = true;
  std::string text;  // or the message
};

Outcome render(const std::string& source, const Json& variables, int64_t now) {
  try {
    return {false, true, ChatTemplate(source).render(variables, now)};
  } catch (const prefold::FormatError& error) {
    return {true, false, error.what()};
  } catch (const prefold::RequestError& error) {
    CHECK(error.code() == "template_error");
    return {true, true, error.what()};
  }
}

void check_case(const Json& expected, const Outcome& got) {
  if (expected.contains("text")) {
    CHECK_FALSE(got.failed);
    CHECK(got.text == expected["text"].get<std::string>());
    return;
  }
  CHECK_MESSAGE(got.failed, "transformers fails: " << expected["error"].get<std::string>());
  const std::string kind = expected["error"].get<std::string>();
  if (kind == "TemplateSyntaxError" || kind == "TemplateAssertionError" || kind == "SyntaxError") {
    CHECK_FALSE(got.compiled);
  }
  // The words of raise_exception come through as they are.
  if (expected["raised"].get<bool>()) {
    CHECK(got.text.find(expected["error"].get<std::string>()) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("small templates render as transformers renders them") {
  const Json oracle = read_oracle("snippets.json");
  REQUIRE(oracle["cases"].size() > 400);
  for (const Json& expected : oracle["cases"]) {
    const std::string source = expected["template"].get<std::string>();
    CAPTURE(source);
    check_case(expected, render(source, oracle["variables"], oracle["now"].get<int64_t>()));
  }
}

TEST_CASE("whole chat templates render conversations as transformers renders them") {
  const Json oracle = read_oracle("chats.json");
  std::map<std::string, std::string> sources;
  std::map<std::string, int> n_rendered;
  for (const Json& expected : oracle["cases"]) {
    const std::string file = expected["template"].get<std::string>();
    const std::string conversation = expected["conversation"].get<std::string>();
    CAPTURE(file);
    CAPTURE(conversation);
    if (sources.count(file) == 0) sources[file] = read_file(kFolder + file);
    const std::string extra = expected["extra"].get<std::string>();
    CAPTURE(extra);
    Json variables = oracle["variables"];
    variables.update(oracle["extras"][extra]);
    variables["messages"] = oracle["conversations"][conversation];
    check_case(expected, render(sources[file], variables, oracle["now"].get<int64_t>()));
    n_rendered[file] += expected.contains("text") ? 1 : 0;
  }
  CHECK(n_rendered.size() == 30);
  for (const auto& [file, n] : n_rendered) CHECK_MESSAGE(n >= 5, file << " nearly always fails");
}
