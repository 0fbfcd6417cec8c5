// The words that every stage shares: what was asked (Request) and what came of it (Result).
// docs/formats.md gives the JSON form of both.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
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

// Where a request came from, for messages and for default ids: "<file>:<line>", lines from 1.
struct SourceLine {
  std::string file;
  int64_t line = 0;
  bool repeats_id = false;  // a line that went to another shard has its id (io/source_marker.h)
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

// A prompt is exactly one of: text, token ids, messages for the chat template, or the inputs of an
// embedding line, one or several.
struct ChatMessages {
  nlohmann::ordered_json messages;         // array of {"role", "content", ...}
  nlohmann::ordered_json tools;            // array or null
  nlohmann::ordered_json template_kwargs;  // object: further variables of the template
  bool add_generation_prompt = true;
};
struct EmbeddingInputs {
  std::vector<std::variant<std::string, std::vector<int32_t>>> inputs;
};
using Prompt = std::variant<std::string, std::vector<int32_t>, ChatMessages, EmbeddingInputs>;

struct Request {
  std::string id;              // custom_id or id as given, else "<file>:<line>"
  bool id_is_integer = false;  // given as a JSON integer: written back as one
  SourceLine source;
  LineKind kind = LineKind::kShort;
  Prompt prompt;
  SamplingParams params;
  std::optional<EmbeddingParams> embedding;  // of kOpenAiEmbedding
  bool add_special_tokens = true;            // text prompts: BOS as the model's tokenizer says
  std::string model;                         // as written in the line; echoed in OpenAI results
  std::optional<std::string> lora;           // the name of an adapter
  // Passed through to the result, null when absent: a short line's metadata and unknown fields, or
  // the metadata in an OpenAI line's body, and what stands beside that body.
  nlohmann::ordered_json metadata;
  nlohmann::ordered_json beside_body;
  int32_t n_extra_fields = 0;  // the unknown fields among them, which are the last ones
};

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
