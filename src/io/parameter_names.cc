#include "io/parameter_names.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"

namespace prefold {
namespace {

// They steer who pays, what is stored, how soon or in what pieces an answer comes; not the answer.
constexpr std::string_view kIgnored[] = {
    "user",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "stream_options",
    "parallel_tool_calls",
    "prediction",
    "priority",
    "request_id",
    "cache_salt",
};

bool is_false(const Json& value) { return value == false; }
bool is_true(const Json& value) { return value == true; }
bool is_one(const Json& value) { return value == 1; }
bool is_empty(const Json& value) {
  return (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_structured() && value.empty());
}
bool is_text_format(const Json& value) {
  return value.is_object() && value.size() == 1 && value.contains("type") &&
         value["type"] == "text";
}
bool is_text_only(const Json& value) {
  return value.is_array() && value.size() == 1 && value[0] == "text";
}

struct Unsupported {
  std::string_view name;
  bool (*is_off)(const Json&);  // null alone is always taken as "not given"
  std::string_view off;         // what is_off accepts, for the message
};

constexpr Unsupported kUnsupported[] = {
    {"stream", is_false, "false"},
    {"response_format", is_text_format, "{\"type\": \"text\"}"},
    {"modalities", is_text_only, "[\"text\"]"},
    {"continue_final_message", is_false, "false"},
    {"use_beam_search", is_false, "false"},
    {"early_stopping", is_false, "false"},
    {"return_tokens_as_token_ids", is_false, "false"},
    {"spaces_between_special_tokens", is_true, "true"},
    {"length_penalty", is_one, "1"},
    {"suffix", is_empty, "\"\""},
    {"bad_words", is_empty, "[]"},
    {"documents", is_empty, "[]"},
    {"functions", is_empty, "[]"},
    {"logits_processors", is_empty, "[]"},
    {"vllm_xargs", is_empty, "{}"},
    {"mm_processor_kwargs", is_empty, "{}"},
    {"allowed_token_ids", nullptr, ""},
    {"audio", nullptr, ""},
    {"chat_template", nullptr, ""},
    {"function_call", nullptr, ""},
    {"guided_choice", nullptr, ""},
    {"guided_decoding_backend", nullptr, ""},
    {"guided_grammar", nullptr, ""},
    {"guided_json", nullptr, ""},
    {"guided_regex", nullptr, ""},
    {"guided_whitespace_pattern", nullptr, ""},
    {"include_reasoning", nullptr, ""},
    {"kv_transfer_params", nullptr, ""},
    {"media_io_kwargs", nullptr, ""},
    {"prompt_embeds", nullptr, ""},
    {"reasoning", nullptr, ""},
    {"reasoning_effort", nullptr, ""},
    {"structural_tag", nullptr, ""},
    {"structured_outputs", nullptr, ""},
    {"thinking_token_budget", nullptr, ""},
    {"truncate_prompt_tokens", nullptr, ""},
    {"verbosity", nullptr, ""},
    {"web_search_options", nullptr, ""},
};

// Levenshtein distance; both names are short.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

constexpr size_t kLongestKnownName = 40;

}  // namespace

bool accept_without_effect(const Field& field) {
  if (std::find(std::begin(kIgnored), std::end(kIgnored), field.name) != std::end(kIgnored)) {
    return true;
  }
  const auto* found =
      std::find_if(std::begin(kUnsupported), std::end(kUnsupported),
                   [&](const Unsupported& entry) { return entry.name == field.name; });
  if (found == std::end(kUnsupported)) return false;
  if (field.value.is_null()) return true;
  if (found->is_off == nullptr) {
    throw RequestError("unsupported_parameter", fmt::format("\"{}\" is not supported", field.name));
  }
  if (found->is_off(field.value)) return true;
  throw RequestError("unsupported_parameter",
                     fmt::format("\"{}\" is {}; only {} is supported", field.name,
                                 show_value(field.value), found->off));
}

std::string_view closest_name(std::string_view name, std::span<const std::string_view> known) {
  if (name.size() > kLongestKnownName) return "";
  std::string_view closest;
  size_t closest_distance = name.size() < 6 ? 2 : 3;
  for (const std::string_view candidate : known) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < closest_distance) {
      closest = candidate;
      closest_distance = distance;
    }
  }
  return closest;
}

}  // namespace prefold
