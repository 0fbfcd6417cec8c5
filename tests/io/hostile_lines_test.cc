#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "io/result_writer.h"
#include "io/test_lines.h"

namespace prefold {
namespace {

const std::vector<std::string> kSeeds = {
    R"({"id":"q","prompt":"Hi \ud83d\ude00","max_tokens":16,"stop":["a"],"logit_bias":{"5":-1.5}})",
    R"({"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"tools":[{}],"seed":-1})",
    R"({"prompt_token_ids":[1,2,3],"logprobs":true,"top_logprobs":2,"metadata":{"a":[1e5,null]}})",
    chat_line(
        R"(,"temperature":0.5,"chat_template_kwargs":{"k":[]},"response_format":{"type":"text"})"),
    completion_line(R"("prompt":[4,5],"echo":true,"logprobs":0,"n":2,"best_of":2)"),
};

// Pieces that are likely to break something.
const std::vector<std::string> kPieces = {
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-",
    "1e9",
    "1e-9",
    "0",
    "NaN",
    "null",
    "\xff",
    "\xe2",
    "99999999999999999999",
    "\n",
    "true",
    "\"n\":",
    "\"prompt\":",
    "\"id\":",
    std::string(1, '\0'),
    "\"custom_id\":",
};

std::string mutated(std::mt19937_64& random, std::string line) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (size_t n_changes = 1 + below(3); n_changes > 0; --n_changes) {
    const size_t at = below(line.size() + 1);
    switch (below(4)) {
      case 0:
        line.insert(at, kPieces[below(kPieces.size())]);
        break;
      case 1:
        line.erase(at, 1 + below(6));
        break;
      case 2:
        line.insert(at, line.substr(below(line.size() + 1), below(20)));
        break;
      default:
        if (at < line.size()) line[at] = static_cast<char>(below(256));
    }
    if (line.empty()) line = "{}";
  }
  return line;
}

TEST_CASE("whatever a line holds, it is a request or an error line in valid JSON") {
  std::mt19937_64 random(2024);
  int n_requests = 0, n_errors = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::string line = mutated(random, kSeeds[random() % kSeeds.size()]);
    CAPTURE(line);
    RequestOrError result = read(line);
    std::string out;
    if (auto* request = std::get_if<Request>(&result)) {
      n_requests += 1;
      Result answer;
      answer.choices.resize(static_cast<size_t>(request->params.n));
      out = format_result(*request, answer, {});
    } else {
      n_errors += 1;
      const auto& error = std::get<LineError>(result);
      REQUIRE(error.failure.message.starts_with("prompts.jsonl:118: "));
      REQUIRE_FALSE(error.failure.code.empty());
      out = format_error(error);
    }
    REQUIRE(nlohmann::json::parse(out).is_object());
    REQUIRE(out.find('\n') == std::string::npos);
  }
  CHECK(n_requests > 300);
  CHECK(n_errors > 1000);
}

}  // namespace
}  // namespace prefold
