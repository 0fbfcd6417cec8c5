// Lines of /v1/embeddings, and what is expected of their answers.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "e2e/job_fixture.h"
#include "e2e/varied_requests.h"

namespace prefold {

inline Json embedding_line(const std::string& id, const Json& body) {
  return {{"custom_id", id}, {"method", "POST"}, {"url", "/v1/embeddings"}, {"body", body}};
}

// The bodies of answered lines by custom_id.
inline std::map<std::string, Json> bodies_of(const std::vector<std::string>& lines) {
  std::map<std::string, Json> bodies;
  for (const std::string& text : lines) {
    const Json line = Json::parse(text);
    REQUIRE(bodies.emplace(line["custom_id"], line["response"]["body"]).second);
  }
  return bodies;
}

inline void check_unit_vector(const Json& ours, const Json& wanted, double tolerance = 2e-5) {
  REQUIRE(ours.size() == wanted.size());
  double squares = 0.0;
  for (size_t i = 0; i < ours.size(); ++i) {
    CHECK(std::abs(ours[i].get<double>() - wanted[i].get<double>()) < tolerance);
    squares += ours[i].get<double>() * ours[i].get<double>();
  }
  CHECK(squares == doctest::Approx(1.0).epsilon(1e-6));
}

// Short and long inputs that share beginnings, one a line or several, among other lines; for
// models of 512 tokens, each input at most 512 tokens long.
inline std::vector<Json> mixed_lines(int n_others, int n_inputs) {
  std::vector<Json> lines = varied_requests(512, n_others, 200);
  std::mt19937 random(5);
  std::vector<std::vector<int32_t>> inputs;
  for (int i = 0; i < n_inputs; ++i) {
    std::vector<int32_t> ids;
    if (!inputs.empty() && random() % 4 > 0) {
      const std::vector<int32_t>& other = inputs[random() % inputs.size()];
      ids.assign(other.begin(), other.begin() + static_cast<int>(random() % (other.size() + 1)));
    }
    for (int n = 1 + static_cast<int>(random() % 70); n > 0; --n) {
      ids.push_back(static_cast<int32_t>(260 + random() % 40));
    }
    inputs.push_back(ids);
  }
  for (size_t i = 0, line = 0; i < inputs.size(); ++line) {
    Json input = Json::array();
    for (size_t n = 1 + random() % 4; n > 0 && i < inputs.size(); --n) input.push_back(inputs[i++]);
    lines.push_back(embedding_line("e" + std::to_string(line), {{"input", input}}));
    lines.push_back(embedding_line(
        "p" + std::to_string(line),
        {{"input", input[0]}, {"encoding_format", "base64"}, {"dimensions", 7 + line}}));
  }
  std::shuffle(lines.begin(), lines.end(), random);
  return lines;
}

}  // namespace prefold
