// What came of a request. docs/formats.md gives the JSON form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace prefold {

// A line that is no request, or a request that could not be answered.
struct RequestFailure {
  std::string code;     // stable word: "invalid_json", "prompt_too_long", ...
  std::string message;  // a sentence that names file and line
};

enum class FinishReason { kStop, kLength };

struct TokenAlternative {
  int32_t id = 0;
  float logprob = 0.0f;
  std::string token;  // its bytes; may be part of a UTF-8 character
};

// Natural-log probabilities of the raw distribution: before temperature, bias and penalties.
struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0.0f;
  std::string token;
  std::vector<TokenAlternative> top;  // most probable first; ties: lower id first
};

struct Choice {
  std::string text;
  std::vector<int32_t> token_ids;  // output only; filled if return_token_ids
  FinishReason finish_reason = FinishReason::kStop;
  std::vector<TokenLogprob> logprobs;  // empty unless asked for; one per output token
};

struct Usage {
  int32_t prompt_tokens = 0;
  int32_t completion_tokens = 0;
  int32_t cached_tokens = 0;  // prompt tokens whose KV another request's prefill computed
};

// The answer to one request: either `failure` or `choices`, of an embedding line `embeddings`.
struct Result {
  std::optional<RequestFailure> failure;
  std::vector<Choice> choices;                               // n of them, in index order
  std::vector<std::optional<TokenLogprob>> prompt_logprobs;  // the first is none
  std::vector<int32_t> prompt_token_ids;                     // filled if return_token_ids
  std::string prompt_text;                                   // filled if echo
  std::vector<std::vector<float>> embeddings;                // one an input, of unit length
  Usage usage;
};

}  // namespace prefold
