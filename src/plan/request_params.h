// What a request may ask of its answer. docs/formats.md gives the JSON form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace prefold {

// How one request's tokens are chosen. Names and meanings are OpenAI's and vLLM's.
struct SamplingParams {
  std::optional<int32_t> max_tokens;  // none: up to the context's end
  int32_t min_tokens = 0;             // no stop token before that many
  float temperature = 1.0f;           // 0: greedy
  float top_p = 1.0f;                 // (0, 1]
  int32_t top_k = 0;                  // 0: all
  float min_p = 0.0f;                 // [0, 1]
  std::optional<uint64_t> seed;       // none: from the run's seed and the request's id
  int32_t n = 1;                      // choices
  float presence_penalty = 0.0f;      // [-2, 2], over output tokens
  float frequency_penalty = 0.0f;     // [-2, 2], over output tokens
  float repetition_penalty = 1.0f;    // (0, 2], over prompt and output tokens
  std::vector<std::pair<int32_t, float>> logit_bias;  // token id, added to the logit; ids distinct
  std::vector<std::string> stop;                      // not part of the text
  std::vector<int32_t> stop_token_ids;                // kept in token_ids, not in the text
  bool ignore_eos = false;
  bool skip_special_tokens = true;  // leave control tokens out of the text
  bool include_stop_str_in_output = false;
  std::optional<int32_t> logprobs;  // 0..20: per output token, its own and that many top ones
  std::optional<int32_t> prompt_logprobs;  // 0..20: the same for prompt tokens
  bool echo = false;                       // text (and logprobs) start with the prompt
  bool return_token_ids = false;

  bool operator==(const SamplingParams&) const = default;
};

enum class LineKind : uint8_t { kShort, kOpenAiChat, kOpenAiCompletion, kOpenAiEmbedding };

// What an embedding is made of: the hidden states, after the final norm, of an input's last token,
// or the mean of those of all its tokens.
enum class Pooling : uint8_t { kLast, kMean };

// How the embeddings of a line are written.
struct EmbeddingParams {
  std::optional<int32_t> dimensions;  // the first so many values, made unit length again
  bool base64 = false;                // of little-endian f32, else decimals

  bool operator==(const EmbeddingParams&) const = default;
};

}  // namespace prefold
