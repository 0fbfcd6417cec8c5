// A request while its members are read one by one; what depends on several members waits here.
#pragma once

#include <optional>
#include <variant>

#include "io/field.h"
#include "io/request_parameters.h"

namespace prefold {

struct RequestDraft {
  RequestDraft(Request& to, RequestForm its_form) : request(to), form(its_form) {}

  Request& request;
  RequestForm form;

  EmbeddingParams embedding;
  std::optional<EmbeddingInputs> inputs;

  int n_prompts = 0;  // members that gave one, also a bad one
  std::optional<std::string> prompt_text;
  std::optional<std::vector<int32_t>> prompt_ids;
  std::optional<Json> messages;
  Json tools;
  Json template_kwargs = Json::object();
  bool add_generation_prompt = true;
  std::optional<bool> add_special_tokens;

  std::optional<int32_t> max_tokens;
  std::optional<int32_t> max_completion_tokens;
  std::optional<int32_t> best_of;
  std::optional<std::variant<bool, int32_t>> logprobs;
  std::optional<int32_t> top_logprobs;

  SamplingParams& params() { return request.params; }
};

// Members that make the prompt (request_prompt.cc).
void read_prompt(const Field& field, RequestDraft& draft);
void read_prompt_token_ids(const Field& field, RequestDraft& draft);
void read_input(const Field& field, RequestDraft& draft);
void read_messages(const Field& field, RequestDraft& draft);
void read_tools(const Field& field, RequestDraft& draft);
void read_tool_choice(const Field& field, RequestDraft& draft);
void read_chat_template_kwargs(const Field& field, RequestDraft& draft);

// Members that say how tokens are chosen and what is told about them (request_sampling.cc).
inline constexpr int32_t kMaxTopLogprobs = 20;
void read_stop(const Field& field, RequestDraft& draft);
void read_logit_bias(const Field& field, RequestDraft& draft);
void read_logprobs(const Field& field, RequestDraft& draft);
void read_top_k(const Field& field, RequestDraft& draft);
void read_seed(const Field& field, RequestDraft& draft);
void read_encoding_format(const Field& field, RequestDraft& draft);

// What several of these mean together. Throw RequestError if they contradict each other.
void finish_logprobs(RequestDraft& draft);
void finish_counts(RequestDraft& draft);

// Throws RequestError unless one member gave a prompt, or of an embedding line the inputs.
void check_one_prompt(const RequestDraft& draft);

// Sets request.prompt from the above.
void finish_prompt(RequestDraft& draft);

}  // namespace prefold
