#include "io/request_parameters.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "io/field.h"
#include "io/parameter_names.h"
#include "io/request_draft.h"

namespace prefold {
namespace {

constexpr int32_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int32_t kMaxTopLogprobs = 20;
constexpr int32_t kMaxChoices = 128;
constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxStopTokenIds = 256;
constexpr size_t kMaxLogitBiases = 1024;
constexpr double kMaxTemperature = 100;

constexpr uint8_t kChat = static_cast<uint8_t>(RequestForm::kChatBody) |
                          static_cast<uint8_t>(RequestForm::kShortMessages);
constexpr uint8_t kText = static_cast<uint8_t>(RequestForm::kCompletionBody) |
                          static_cast<uint8_t>(RequestForm::kShortPrompt);
constexpr uint8_t kShort = static_cast<uint8_t>(RequestForm::kShortMessages) |
                           static_cast<uint8_t>(RequestForm::kShortPrompt);
constexpr uint8_t kAll = kChat | kText;  // that answer with tokens
constexpr uint8_t kEmbedding = static_cast<uint8_t>(RequestForm::kEmbeddingBody);

void read_stop(const Field& field, RequestDraft& draft) {
  std::vector<std::string> stops;
  const auto add = [&](const Field& entry) {
    if (!entry.value.is_string()) throw_unexpected(entry, "a string");
    std::string stop = get_string(entry);
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      throw_invalid_value(fmt::format("\"{}\" has {} bytes; expected from 1 to {}", entry.name,
                                      stop.size(), kMaxStopBytes));
    }
    stops.push_back(std::move(stop));
  };
  if (field.value.is_string()) {
    add(field);
  } else if (!field.value.is_array()) {
    throw_unexpected(field, "a string or an array of strings");
  } else if (field.value.size() > kMaxStops) {
    throw_invalid_value(fmt::format("\"{}\" has {} entries; expected at most {}", field.name,
                                    field.value.size(), kMaxStops));
  } else {
    for (Json& entry : field.value) add({fmt::format("{}[{}]", field.name, stops.size()), entry});
  }
  draft.params().stop = std::move(stops);
}

// A token id as an object key: decimal digits as an integer is written, without leading zeros.
int32_t token_id_of_key(const Field& field, const std::string& key) {
  const bool digits =
      !key.empty() && key.size() <= 10 &&
      std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
  const int64_t id = digits && (key == "0" || key[0] != '0') ? std::stoll(key) : -1;
  if (id < 0 || id > kMaxInt32) {
    throw_invalid_value(fmt::format("\"{}\" has the key {}; expected token ids from 0 to {}",
                                    field.name, show_text(key), kMaxInt32));
  }
  return static_cast<int32_t>(id);
}

void read_logit_bias(const Field& field, RequestDraft& draft) {
  if (!field.value.is_object()) throw_unexpected(field, "an object from token ids to numbers");
  if (field.value.size() > kMaxLogitBiases) {
    throw_invalid_value(fmt::format("\"{}\" has {} entries; expected at most {}", field.name,
                                    field.value.size(), kMaxLogitBiases));
  }
  std::vector<std::pair<int32_t, float>> biases;
  for (auto& [key, value] : field.value.items()) {
    const int32_t id = token_id_of_key(field, key);
    biases.emplace_back(id, get_float({fmt::format("{}.{}", field.name, key), value}, -100, 100));
  }
  // In one order, so that equal biases compare equal however the line wrote them.
  std::sort(biases.begin(), biases.end());
  draft.params().logit_bias = std::move(biases);
}

void read_logprobs(const Field& field, RequestDraft& draft) {
  const bool may_be_bool = draft.form != RequestForm::kCompletionBody;
  const bool may_be_integer = draft.form != RequestForm::kChatBody;
  if (may_be_bool && field.value.is_boolean()) {
    draft.logprobs = field.value.get<bool>();
  } else if (!may_be_integer) {
    throw_unexpected(field, "true or false");
  } else if (may_be_bool && !field.value.is_number()) {
    throw_unexpected(field, "true, false or an integer from 0 to 20");
  } else {
    draft.logprobs = get_int32(field, 0, kMaxTopLogprobs);
  }
}

void read_top_k(const Field& field, RequestDraft& draft) {
  draft.params().top_k = std::max(0, get_int32(field, -1, kMaxInt32));
}

void read_seed(const Field& field, RequestDraft& draft) {
  using Limits = std::numeric_limits<int64_t>;
  draft.params().seed = static_cast<uint64_t>(get_integer(field, Limits::min(), Limits::max()));
}

void read_encoding_format(const Field& field, RequestDraft& draft) {
  if (field.value != "float" && field.value != "base64") {
    throw_unexpected(field, "\"float\" or \"base64\"");
  }
  draft.embedding.base64 = field.value == "base64";
}

struct Parameter {
  std::string_view name;
  uint8_t forms;
  void (*read)(const Field&, RequestDraft&);
};

using F = const Field&;
using D = RequestDraft&;

constexpr Parameter kParameters[] = {
    {"prompt", kText, read_prompt},
    {"prompt_token_ids", kShort, read_prompt_token_ids},
    {"messages", kAll & ~static_cast<uint8_t>(RequestForm::kCompletionBody), read_messages},
    {"tools", kChat, read_tools},
    {"tool_choice", kChat, read_tool_choice},
    {"chat_template_kwargs", kChat, read_chat_template_kwargs},
    {"add_generation_prompt", kChat, [](F f, D d) { d.add_generation_prompt = get_bool(f); }},
    {"add_special_tokens", kAll | kEmbedding, [](F f, D d) { d.add_special_tokens = get_bool(f); }},
    {"model", kAll | kEmbedding, [](F f, D d) { d.request.model = get_string(f); }},
    {"metadata", kAll | kEmbedding, [](F f, D d) { d.request.metadata = std::move(f.value); }},

    {"input", kEmbedding, read_input},
    {"encoding_format", kEmbedding, read_encoding_format},
    {"dimensions", kEmbedding,
     [](F f, D d) { d.embedding.dimensions = get_int32(f, 1, kMaxInt32); }},

    {"max_tokens", kAll, [](F f, D d) { d.max_tokens = get_int32(f, 1, kMaxInt32); }},
    {"max_completion_tokens", kAll,
     [](F f, D d) { d.max_completion_tokens = get_int32(f, 1, kMaxInt32); }},
    {"min_tokens", kAll, [](F f, D d) { d.params().min_tokens = get_int32(f, 0, kMaxInt32); }},
    {"temperature", kAll,
     [](F f, D d) { d.params().temperature = get_float(f, 0, kMaxTemperature); }},
    {"top_p", kAll, [](F f, D d) { d.params().top_p = get_float(f, 0, 1, true); }},
    {"top_k", kAll, read_top_k},
    {"min_p", kAll, [](F f, D d) { d.params().min_p = get_float(f, 0, 1); }},
    {"seed", kAll, read_seed},
    {"n", kAll, [](F f, D d) { d.params().n = get_int32(f, 1, kMaxChoices); }},
    {"best_of", kAll, [](F f, D d) { d.best_of = get_int32(f, 1, kMaxChoices); }},
    {"presence_penalty", kAll, [](F f, D d) { d.params().presence_penalty = get_float(f, -2, 2); }},
    {"frequency_penalty", kAll,
     [](F f, D d) { d.params().frequency_penalty = get_float(f, -2, 2); }},
    {"repetition_penalty", kAll,
     [](F f, D d) { d.params().repetition_penalty = get_float(f, 0, 2, true); }},
    {"logit_bias", kAll, read_logit_bias},
    {"stop", kAll, read_stop},
    {"stop_token_ids", kAll,
     [](F f, D d) { d.params().stop_token_ids = get_token_ids(f, kMaxStopTokenIds, true); }},
    {"ignore_eos", kAll, [](F f, D d) { d.params().ignore_eos = get_bool(f); }},
    {"skip_special_tokens", kAll, [](F f, D d) { d.params().skip_special_tokens = get_bool(f); }},
    {"include_stop_str_in_output", kAll,
     [](F f, D d) { d.params().include_stop_str_in_output = get_bool(f); }},
    {"logprobs", kAll, read_logprobs},
    {"top_logprobs", kAll & ~static_cast<uint8_t>(RequestForm::kCompletionBody),
     [](F f, D d) { d.top_logprobs = get_int32(f, 0, kMaxTopLogprobs); }},
    {"prompt_logprobs", kAll,
     [](F f, D d) { d.params().prompt_logprobs = get_int32(f, 0, kMaxTopLogprobs); }},
    {"echo", kText, [](F f, D d) { d.params().echo = get_bool(f); }},
    {"return_token_ids", kAll, [](F f, D d) { d.params().return_token_ids = get_bool(f); }},
};

const Parameter* find_parameter(std::string_view name) {
  static const auto* by_name = [] {
    auto* map = new std::unordered_map<std::string_view, const Parameter*>;
    for (const Parameter& parameter : kParameters) map->emplace(parameter.name, &parameter);
    return map;
  }();
  const auto found = by_name->find(name);
  return found == by_name->end() ? nullptr : found->second;
}

std::string_view form_name(RequestForm form) {
  switch (form) {
    case RequestForm::kChatBody:
      return "a request to /v1/chat/completions";
    case RequestForm::kCompletionBody:
      return "a request to /v1/completions";
    case RequestForm::kShortMessages:
      return "a line with \"messages\"";
    case RequestForm::kShortPrompt:
      return "a line with a prompt";
    case RequestForm::kEmbeddingBody:
      return "a request to /v1/embeddings";
  }
  return "";
}

void read_member(const Field& field, RequestDraft& draft) {
  const Parameter* parameter = find_parameter(field.name);
  if (parameter == nullptr) {
    if (!accept_without_effect(field)) throw_unknown_member(field.name);
    return;
  }
  if (field.value.is_null()) return;
  if ((parameter->forms & static_cast<uint8_t>(draft.form)) == 0) {
    throw RequestError("unsupported_parameter", fmt::format("\"{}\" has no meaning in {}",
                                                            field.name, form_name(draft.form)));
  }
  parameter->read(field, draft);
}

void finish_logprobs(RequestDraft& draft) {
  SamplingParams& params = draft.params();
  const bool* flag = draft.logprobs ? std::get_if<bool>(&*draft.logprobs) : nullptr;
  const int32_t* count = draft.logprobs ? std::get_if<int32_t>(&*draft.logprobs) : nullptr;
  if (count != nullptr) {
    if (draft.top_logprobs.value_or(*count) != *count) {
      throw_invalid_value(fmt::format("\"logprobs\" is {} but \"top_logprobs\" is {}", *count,
                                      *draft.top_logprobs));
    }
    params.logprobs = *count;
    return;
  }
  if (flag != nullptr && *flag) params.logprobs = params.logprobs.value_or(0);
  if (flag != nullptr && !*flag) params.logprobs = std::nullopt;
  if (!draft.top_logprobs) return;
  if (params.logprobs) {
    params.logprobs = *draft.top_logprobs;
  } else if (*draft.top_logprobs > 0) {
    throw_invalid_value(
        fmt::format("\"top_logprobs\" is {}, which needs \"logprobs\": true", *draft.top_logprobs));
  }
}

void finish_counts(RequestDraft& draft) {
  SamplingParams& params = draft.params();
  if (draft.max_tokens && draft.max_completion_tokens &&
      *draft.max_tokens != *draft.max_completion_tokens) {
    throw_invalid_value(fmt::format("\"max_tokens\" is {} but \"max_completion_tokens\" is {}",
                                    *draft.max_tokens, *draft.max_completion_tokens));
  }
  if (draft.max_tokens) params.max_tokens = draft.max_tokens;
  if (draft.max_completion_tokens) params.max_tokens = draft.max_completion_tokens;
  if (params.max_tokens && params.min_tokens > *params.max_tokens) {
    throw_invalid_value(fmt::format("\"min_tokens\" is {}, more than \"max_tokens\", {}",
                                    params.min_tokens, *params.max_tokens));
  }
  if (draft.best_of && *draft.best_of != params.n) {
    throw RequestError("unsupported_parameter",
                       fmt::format("\"best_of\" is {}; only the value of \"n\" ({}) is supported",
                                   *draft.best_of, params.n));
  }
}

}  // namespace

// Nothing is sampled; what the command line says of sampling is for other lines.
static void finish_embedding(RequestDraft& draft) {
  draft.request.params = {};
  draft.request.params.max_tokens = 0;
  draft.request.params.temperature = 0.0f;
  draft.request.embedding = draft.embedding;
}

void read_request_members(Json& object, RequestForm form, Request& request) {
  RequestDraft draft{request, form};
  const bool skip_id = form == RequestForm::kShortMessages || form == RequestForm::kShortPrompt;
  for (auto& [name, value] : object.get_ref<Json::object_t&>()) {
    if (skip_id && name == "id") continue;
    read_member({name, value}, draft);
  }
  finish_prompt(draft);
  if (form == RequestForm::kEmbeddingBody) return finish_embedding(draft);
  finish_logprobs(draft);
  finish_counts(draft);
}

void throw_unknown_member(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Parameter& parameter : kParameters) known.push_back(parameter.name);
  const std::string_view meant = closest_name(name, known);
  throw RequestError(
      "unsupported_parameter",
      fmt::format("unknown field {}; {}", show_text(name),
                  meant.empty() ? std::string("data of your own belongs under \"metadata\"")
                                : fmt::format("did you mean \"{}\"?", meant)));
}

}  // namespace prefold
