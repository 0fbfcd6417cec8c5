#include "io/result_writer.h"

#include <fmt/format.h>

#include "base/check.h"
#include "io/fingerprint.h"
#include "io/json_line.h"
#include "io/json_text.h"
#include "io/logprobs_json.h"

namespace prefold {
namespace {

constexpr int kBadRequest = 400;

std::string_view finish_reason_name(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

// The ids of OpenAI's objects, derived from the custom_id alone.
std::string derived_id(std::string_view prefix, const std::string& custom_id) {
  return fmt::format("{}{}", prefix, to_hex(fingerprint({0, 0}, custom_id)));
}

void append_id(std::string& out, const std::string& id, bool is_integer) {
  if (is_integer) {
    out += id;
  } else {
    append_json_string(out, id);
  }
}

// ,"name":value unless null. The text of untrusted input: its strings are valid UTF-8 already.
void append_metadata(std::string& out, const Json& metadata) {
  if (metadata.is_null()) return;
  out += ",\"metadata\":";
  out += metadata.dump();
}

void append_cached_tokens(std::string& out, const Usage& usage, const ResultFormat& format) {
  if (!format.usage_details) return;
  out += fmt::format(",\"prompt_tokens_details\":{{\"cached_tokens\":{}}}", usage.cached_tokens);
}

void append_usage(std::string& out, const Usage& usage, const ResultFormat& format) {
  out +=
      fmt::format(",\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{}",
                  usage.prompt_tokens, usage.completion_tokens,
                  int64_t{usage.prompt_tokens} + usage.completion_tokens);
  append_cached_tokens(out, usage, format);
  out += '}';
}

void append_error(std::string& out, const RequestFailure& failure) {
  out += ",\"error\":{\"code\":";
  append_json_string(out, failure.code);
  out += ",\"message\":";
  append_json_string(out, failure.message);
  out += '}';
}

// The text of the prompt's first token, which has no log-probability: what the others leave over.
std::string first_token_text(const Result& result) {
  std::string others;
  for (const auto& token : result.prompt_logprobs) {
    if (token) others += token->token;
  }
  const std::string& prompt = result.prompt_text;
  if (!prompt.ends_with(others)) return "";
  return prompt.substr(0, prompt.size() - others.size());
}

TokenLogprobs logprobs_of(const Request& request, const Result& result, const Choice& choice) {
  if (!request.params.echo) return {{}, choice.logprobs, {}};
  return {result.prompt_logprobs, choice.logprobs, first_token_text(result)};
}

std::string text_of(const Request& request, const Result& result, const Choice& choice) {
  return request.params.echo ? result.prompt_text + choice.text : choice.text;
}

// "text" .. "logprobs" of a short line, with a leading comma.
void append_short_choice(std::string& out, const Request& request, const Result& result,
                         const Choice& choice) {
  out += ",\"text\":";
  append_json_string(out, text_of(request, result, choice));
  out += fmt::format(",\"finish_reason\":\"{}\"", finish_reason_name(choice.finish_reason));
  if (request.params.return_token_ids) {
    out += ",\"token_ids\":";
    append_json_integers(out, choice.token_ids);
  }
  if (request.params.logprobs) {
    out += ",\"logprobs\":";
    append_short_logprobs(out, logprobs_of(request, result, choice), *request.params.logprobs);
  }
}

std::string format_short_result(const Request& request, const Result& result,
                                const ResultFormat& format) {
  std::string out = "{\"id\":";
  append_id(out, request.id, request.id_is_integer);
  if (result.failure) {
    append_error(out, *result.failure);
  } else {
    if (request.params.n == 1) {
      append_short_choice(out, request, result, result.choices[0]);
    } else {
      out += ",\"choices\":[";
      for (size_t i = 0; i < result.choices.size(); ++i) {
        out += fmt::format("{}{{\"index\":{}", i > 0 ? "," : "", i);
        append_short_choice(out, request, result, result.choices[i]);
        out += '}';
      }
      out += ']';
    }
    if (request.params.return_token_ids) {
      out += ",\"prompt_token_ids\":";
      append_json_integers(out, result.prompt_token_ids);
    }
    if (request.params.prompt_logprobs) {
      out += ",\"prompt_logprobs\":";
      append_short_logprobs(out, {result.prompt_logprobs, {}, {}}, *request.params.prompt_logprobs);
    }
    append_usage(out, result.usage, format);
  }
  append_metadata(out, request.metadata);
  out += '}';
  return out;
}

// vLLM's additions to OpenAI's bodies: completions have them in each choice, chats beside them.
void append_prompt_details(std::string& out, const Request& request, const Result& result) {
  if (request.params.return_token_ids) {
    out += ",\"prompt_token_ids\":";
    append_json_integers(out, result.prompt_token_ids);
  }
  if (request.params.prompt_logprobs) {
    out += ",\"prompt_logprobs\":";
    append_vllm_prompt_logprobs(out, result.prompt_logprobs, *request.params.prompt_logprobs);
  }
}

void append_openai_choice(std::string& out, const Request& request, const Result& result,
                          const Choice& choice) {
  const bool chat = request.kind == LineKind::kOpenAiChat;
  if (chat) {
    out += ",\"message\":{\"role\":\"assistant\",\"content\":";
    append_json_string(out, choice.text);
    out += ",\"refusal\":null}";
  } else {
    out += ",\"text\":";
    append_json_string(out, text_of(request, result, choice));
  }
  out += ",\"logprobs\":";
  if (!request.params.logprobs) {
    out += "null";
  } else if (chat) {
    append_chat_logprobs(out, logprobs_of(request, result, choice), *request.params.logprobs);
  } else {
    append_completion_logprobs(out, logprobs_of(request, result, choice), *request.params.logprobs);
  }
  out += fmt::format(",\"finish_reason\":\"{}\"", finish_reason_name(choice.finish_reason));
  if (request.params.return_token_ids) {
    out += ",\"token_ids\":";
    append_json_integers(out, choice.token_ids);
  }
  if (!chat) append_prompt_details(out, request, result);
}

void append_openai_body(std::string& out, const Request& request, const Result& result,
                        const ResultFormat& format) {
  const bool chat = request.kind == LineKind::kOpenAiChat;
  out += fmt::format("{{\"id\":\"{}\",\"object\":\"{}\",\"created\":{},\"model\":",
                     derived_id(chat ? "chatcmpl-" : "cmpl-", request.id),
                     chat ? "chat.completion" : "text_completion", format.created_unix_s);
  append_json_string(out, request.model.empty() ? format.model_name : request.model);
  out += ",\"choices\":[";
  for (size_t i = 0; i < result.choices.size(); ++i) {
    out += fmt::format("{}{{\"index\":{}", i > 0 ? "," : "", i);
    append_openai_choice(out, request, result, result.choices[i]);
    out += '}';
  }
  out += ']';
  append_usage(out, result.usage, format);
  if (chat) append_prompt_details(out, request, result);
  append_metadata(out, request.metadata);
  out += '}';
}

void append_embedding(std::string& out, std::span<const float> values, bool base64) {
  if (base64) {
    out += '"';
    append_base64(out, values);
    out += '"';
    return;
  }
  out += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    append_json_float(out, values[i]);
  }
  out += ']';
}

void append_embedding_body(std::string& out, const Request& request, const Result& result,
                           const ResultFormat& format) {
  out += "{\"object\":\"list\",\"data\":[";
  for (size_t i = 0; i < result.embeddings.size(); ++i) {
    out += fmt::format("{}{{\"object\":\"embedding\",\"index\":{},\"embedding\":", i > 0 ? "," : "",
                       i);
    append_embedding(out, result.embeddings[i], request.embedding->base64);
    out += '}';
  }
  out += "],\"model\":";
  append_json_string(out, request.model.empty() ? format.model_name : request.model);
  out += fmt::format(",\"usage\":{{\"prompt_tokens\":{0},\"total_tokens\":{0}",
                     result.usage.prompt_tokens);
  append_cached_tokens(out, result.usage, format);
  out += '}';
  append_metadata(out, request.metadata);
  out += '}';
}

// {"id":...,"custom_id":...,"response":{"status_code":...,"request_id":...,"body":
std::string openai_line_start(const std::string& custom_id, int status_code) {
  std::string out =
      fmt::format("{{\"id\":\"{}\",\"custom_id\":", derived_id("batch_req_", custom_id));
  append_json_string(out, custom_id);
  out +=
      fmt::format(",\"response\":{{\"status_code\":{},\"request_id\":\"{}\",\"body\":", status_code,
                  derived_id("req_", custom_id));
  return out;
}

// A failure stands where OpenAI's own clients look for it, in the body, and where readers of batch
// files do, in the line.
std::string format_openai_failure(const std::string& custom_id, const RequestFailure& failure,
                                  const Json& metadata) {
  std::string out = openai_line_start(custom_id, kBadRequest);
  out += "{\"error\":{\"message\":";
  append_json_string(out, failure.message);
  out += ",\"type\":\"invalid_request_error\",\"param\":null,\"code\":";
  append_json_string(out, failure.code);
  out += "}}}";
  append_error(out, failure);
  append_metadata(out, metadata);
  out += '}';
  return out;
}

}  // namespace

std::string format_result(const Request& request, const Result& result,
                          const ResultFormat& format) {
  const bool is_embedding = request.kind == LineKind::kOpenAiEmbedding;
  CHECK(result.failure ||
        (is_embedding ? !result.embeddings.empty()
                      : result.choices.size() == static_cast<size_t>(request.params.n)));
  if (request.kind == LineKind::kShort) return format_short_result(request, result, format);
  if (result.failure) {
    return format_openai_failure(request.id, *result.failure, request.beside_body);
  }
  std::string out = openai_line_start(request.id, 200);
  (is_embedding ? append_embedding_body : append_openai_body)(out, request, result, format);
  out += "},\"error\":null";
  append_metadata(out, request.beside_body);
  out += '}';
  return out;
}

std::string format_error(const LineError& error) {
  if (error.kind != LineKind::kShort) {
    return format_openai_failure(error.id, error.failure, error.metadata);
  }
  std::string out = "{\"id\":";
  append_id(out, error.id, error.id_is_integer);
  append_error(out, error.failure);
  append_metadata(out, error.metadata);
  out += '}';
  return out;
}

}  // namespace prefold
