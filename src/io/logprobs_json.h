// Log-probabilities in the shapes of each output kind. n_top: how many alternatives were asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "plan/result.h"

namespace prefold {

// The log-probabilities of a choice: with echo, the prompt's (the first has none) come first.
struct TokenLogprobs {
  std::span<const std::optional<TokenLogprob>> prompt;
  std::span<const TokenLogprob> output;
  std::string first_text;  // of the prompt's first token, for completions
};

// [null, {"id","token","logprob","top":[{"id","token","logprob"}]}]; "bytes" beside a token that is
// not UTF-8.
void append_short_logprobs(std::string& out, const TokenLogprobs& tokens, int32_t n_top);

// OpenAI chat: {"content":[{"token","logprob","bytes","top_logprobs":[...]}],"refusal":null}
void append_chat_logprobs(std::string& out, const TokenLogprobs& tokens, int32_t n_top);

// OpenAI completions: {"text_offset","token_logprobs","tokens","top_logprobs"}. Offsets count
// characters from the start of the first token. A token that is not UTF-8 is spelled "bytes:\xe2";
// top_logprobs has the token itself too, as OpenAI's.
void append_completion_logprobs(std::string& out, const TokenLogprobs& tokens, int32_t n_top);

// vLLM's prompt_logprobs: [null, {"<id>":{"logprob","rank","decoded_token"}}], the prompt's token
// first; its rank is null unless it is among the n_top.
void append_vllm_prompt_logprobs(std::string& out,
                                 std::span<const std::optional<TokenLogprob>> tokens,
                                 int32_t n_top);

}  // namespace prefold
