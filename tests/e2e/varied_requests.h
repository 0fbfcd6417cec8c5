// Requests for tests of identity (docs/architecture.md, I6).
#pragma once

#include <fmt/format.h>

#include "job_fixture.h"

namespace prefold {

// Requests that exercise everything a schedule could disturb: prefixes shared at several levels,
// duplicates, prompts that are prefixes of others, sampling, choices, scores, penalties, stops.
inline std::vector<Json> varied_requests(int32_t vocab_size, int n_requests, int longest) {
  std::mt19937 random(11);
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  std::vector<Json> lines;
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < n_requests; ++i) {
    std::vector<int32_t> prompt;
    if (i > 0 && below(5) > 0) {
      const std::vector<int32_t>& other = prompts[below(i)];
      const int kept = below(4) == 0 ? static_cast<int>(other.size())
                                     : 1 + below(static_cast<int>(other.size()));
      prompt.assign(other.begin(), other.begin() + kept);
    }
    for (int n = below(2) ? below(8) : below(longest); n > 0 || prompt.empty(); --n) {
      prompt.push_back(20 + below(vocab_size - 20));
    }
    prompts.push_back(prompt);
    Json line = {{"id", fmt::format("r{}", i)},         {"prompt_token_ids", prompt},
                 {"max_tokens", 1 + below(24)},         {"return_token_ids", true},
                 {"temperature", below(2) ? 0.0 : 0.8}, {"logprobs", below(4)}};
    if (below(3) == 0) line["seed"] = below(3);
    if (below(4) == 0) line["n"] = 1 + below(3);
    if (below(4) == 0) line["prompt_logprobs"] = below(3);
    if (below(4) == 0) line["ignore_eos"] = true;
    if (below(4) == 0) line["top_k"] = 5;
    if (below(4) == 0) line["top_p"] = 0.9;
    if (below(4) == 0) line["repetition_penalty"] = 1.3;
    if (below(4) == 0) line["frequency_penalty"] = 0.4;
    if (below(6) == 0) line["min_tokens"] = 4;
    if (i % 5 == 0 && line.contains("prompt_logprobs")) {  // scored alone
      line["max_tokens"] = 0;
      line.erase("min_tokens");
    }
    lines.push_back(line);
  }
  return lines;
}

}  // namespace prefold
