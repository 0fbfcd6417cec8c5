// Whole jobs against transformers: token ids, log-probabilities and greedy answers
// (tests/data/README.md says how the files were made).
#pragma once

#include <cmath>
#include <map>

#include "job_fixture.h"

namespace prefold {

inline constexpr int32_t kOracleTop = 20;

inline Json read_json(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  return Json::parse(in);
}

inline Json oracle_request(const Json& test_case, int32_t max_tokens) {
  Json line = {
      {"id", test_case["name"]}, {"max_tokens", max_tokens},      {"temperature", 0},
      {"logprobs", kOracleTop},  {"prompt_logprobs", kOracleTop}, {"return_token_ids", true}};
  if (test_case.contains("messages")) {
    line["messages"] = test_case["messages"];
  } else if (test_case.contains("text")) {
    line["prompt"] = test_case["text"];
  } else {
    line["prompt_token_ids"] = test_case["prompt_token_ids"];
  }
  if (test_case.contains("lora")) line["lora"] = test_case["lora"];
  return line;
}

// `top` as a result line has it: [{"id", "logprob", ...}], most probable first.
inline void check_distribution(const Json& oracle, const Json& top, double tolerance) {
  REQUIRE(top.size() == kOracleTop);
  std::map<int32_t, double> ours;
  for (const Json& entry : top) ours[entry["id"]] = entry["logprob"];
  const double last = top.back()["logprob"];
  for (size_t i = 0; i < oracle["ids"].size(); ++i) {
    const int32_t id = oracle["ids"][i];
    const double wanted = oracle["logprobs"][i];
    if (ours.count(id) > 0) {
      CHECK(std::abs(ours[id] - wanted) <= tolerance);
    } else {
      CHECK(wanted <= last + tolerance);  // on the edge of the list
    }
  }
}

inline void check_greedy(const Json& oracle, const Json& token_ids, double margin) {
  for (size_t i = 0; i < oracle["token_ids"].size(); ++i) {
    if (oracle["margins"][i] <= margin) return;  // from here on the texts may differ
    REQUIRE(i < token_ids.size());
    CHECK(token_ids[i] == oracle["token_ids"][i]);
  }
  CHECK(token_ids.size() == oracle["token_ids"].size());
}

// tolerance: of log-probabilities. Greedy tokens are compared up to the first that led the second
// best by no more than `margin`.
inline void check_against_oracle(const RunOptions& options, const std::string& oracle_file,
                                 double tolerance, double margin) {
  const Json oracle = read_json(oracle_file);
  std::vector<Json> lines;
  const int32_t max_tokens = oracle.value("max_tokens", 32);
  for (const Json& test_case : oracle["cases"]) {
    lines.push_back(oracle_request(test_case, max_tokens));
  }
  JobFolder folder;
  folder.write_lines("in.jsonl", lines);
  std::map<std::string, Json> answers;
  for (const std::string& line : folder.answers(options)) {
    const Json answer = Json::parse(line);
    answers[answer["id"]] = answer;
  }
  for (const Json& test_case : oracle["cases"]) {
    const std::string name = test_case["name"];
    CAPTURE(name);
    const Json& answer = answers.at(name);
    INFO(answer.dump().substr(0, 300));
    REQUIRE(answer.contains("token_ids"));
    CHECK(answer["prompt_token_ids"] == test_case["prompt_token_ids"]);
    const int32_t n_prompt = static_cast<int32_t>(test_case["prompt_token_ids"].size());
    for (const Json& next : test_case["next_token"]) {
      const int32_t position = next["position"];
      CAPTURE(position);
      const Json& entry =
          position + 1 < n_prompt ? answer["prompt_logprobs"][position + 1] : answer["logprobs"][0];
      check_distribution(next, entry["top"], tolerance);
    }
    check_greedy(test_case["greedy"], answer["token_ids"], margin);
  }
}

}  // namespace prefold
