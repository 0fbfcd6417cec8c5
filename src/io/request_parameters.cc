#include "io/request_parameters.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "io/extra_fields.h"
#include "io/field.h"
#include "io/parameter_names.h"
#include "io/request_draft.h"

namespace prefold {
namespace {

constexpr int32_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int32_t kMaxChoices = 128;
constexpr size_t kMaxStopTokenIds = 256;
constexpr double kMaxTemperature = 100;

constexpr uint8_t kChat = static_cast<uint8_t>(RequestForm::kChatBody) |
                          static_cast<uint8_t>(RequestForm::kShortMessages);
constexpr uint8_t kText = static_cast<uint8_t>(RequestForm::kCompletionBody) |
                          static_cast<uint8_t>(RequestForm::kShortPrompt);
constexpr uint8_t kShort = static_cast<uint8_t>(RequestForm::kShortMessages) |
                           static_cast<uint8_t>(RequestForm::kShortPrompt);
constexpr uint8_t kAll = kChat | kText;  // that answer with tokens
constexpr uint8_t kEmbedding = static_cast<uint8_t>(RequestForm::kEmbeddingBody);

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
    {"lora", kAll | kEmbedding, [](F f, D d) { d.request.lora = get_string(f); }},
    {"metadata", kAll | kEmbedding, [](F f, D d) { d.request.metadata = std::move(f.value); }},

    {"input", kEmbedding, read_input},
    {"encoding_format", kEmbedding, read_encoding_format},
    {"dimensions", kEmbedding,
     [](F f, D d) { d.embedding.dimensions = get_int32(f, 1, kMaxInt32); }},

    {"max_tokens", kAll, [](F f, D d) { d.max_tokens = get_int32(f, 0, kMaxInt32); }},
    {"max_completion_tokens", kAll,
     [](F f, D d) { d.max_completion_tokens = get_int32(f, 0, kMaxInt32); }},
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

// False for a member that is unknown here: those of embeddings alone are to all other forms.
bool read_member(const Field& field, RequestDraft& draft) {
  const Parameter* parameter = find_parameter(field.name);
  const bool for_embeddings = draft.form == RequestForm::kEmbeddingBody;
  if (parameter == nullptr || (parameter->forms == kEmbedding && !for_embeddings)) {
    return accept_without_effect(field);
  }
  if (field.value.is_null()) return true;
  if ((parameter->forms & static_cast<uint8_t>(draft.form)) == 0) {
    throw RequestError("unsupported_parameter", fmt::format("\"{}\" has no meaning in {}",
                                                            field.name, form_name(draft.form)));
  }
  parameter->read(field, draft);
  return true;
}

// Nothing is sampled; what the command line says of sampling is for other lines.
void finish_embedding(RequestDraft& draft) {
  draft.request.params = {};
  draft.request.params.max_tokens = 0;
  draft.request.params.temperature = 0.0f;
  draft.request.embedding = draft.embedding;
}

// Reads each member; what is no parameter comes back.
Json::object_t read_members(Json& object, RequestDraft& draft, LineProblems& problems) {
  const bool is_short = (static_cast<uint8_t>(draft.form) & kShort) != 0;
  Json::object_t extra;
  for (auto& member : object.get_ref<Json::object_t&>()) {
    const std::string& name = member.first;
    Json& value = member.second;
    if (problems.full()) break;
    if (is_short && name == "id") continue;
    const Field field{name, value};
    problems.attempt([&] {
      if (read_member(field, draft)) return;
      if (!is_short) throw_unknown_in_body(name, draft.form);
      check_extra_field(field, draft.form);
      extra.emplace_back(name, std::move(value));
    });
  }
  return extra;
}

void check_prompt_count(const RequestDraft& draft, const Json::object_t& extra) {
  if (draft.n_prompts > 0) return check_one_prompt(draft);
  for (const auto& [name, value] : extra) {
    const std::string_view meant = misspelt_prompt(name);
    if (meant.empty()) continue;
    throw RequestError("missing_field",
                       fmt::format("no prompt, but an unknown field {}; did you mean \"{}\"?",
                                   show_text(name), meant));
  }
  check_one_prompt(draft);
}

}  // namespace

void read_request_members(Json& object, RequestForm form, Request& request,
                          LineProblems& problems) {
  RequestDraft draft{request, form};
  Json::object_t extra = read_members(object, draft, problems);
  problems.attempt([&] { check_prompt_count(draft, extra); });
  problems.attempt([&] {
    request.n_extra_fields += static_cast<int32_t>(extra.size());
    add_extra_fields(std::move(extra), request.metadata);
  });
  if (!problems.none()) return;  // what members say together depends on each of them
  finish_prompt(draft);
  if (form == RequestForm::kEmbeddingBody) return finish_embedding(draft);
  problems.attempt([&] { finish_logprobs(draft); });
  problems.attempt([&] { finish_counts(draft); });
}

bool is_parameter(std::string_view name) {
  if (find_parameter(name) != nullptr || is_without_effect(name)) return true;
  const std::vector<std::string_view> unsupported = unsupported_names();
  return std::find(unsupported.begin(), unsupported.end(), name) != unsupported.end();
}

std::vector<std::string_view> parameters_that_matter(uint8_t forms) {
  constexpr std::string_view kOthers[] = {"prompt", "prompt_token_ids", "messages", "input",
                                          "model",  "metadata"};
  std::vector<std::string_view> names;
  for (const Parameter& parameter : kParameters) {
    const bool other =
        std::find(std::begin(kOthers), std::end(kOthers), parameter.name) != std::end(kOthers);
    if ((parameter.forms & forms) != 0 && !other) names.push_back(parameter.name);
  }
  return names;
}

}  // namespace prefold
