#include "io/parameter_names.h"

#include <algorithm>

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
    // Samplers of other servers.
    {"bad_words_ids", nullptr, ""},
    {"dry_multiplier", nullptr, ""},
    {"grammar", nullptr, ""},
    {"json_schema", nullptr, ""},
    {"mirostat", nullptr, ""},
    {"mirostat_eta", nullptr, ""},
    {"mirostat_tau", nullptr, ""},
    {"no_repeat_ngram_size", nullptr, ""},
    {"num_beams", nullptr, ""},
    {"top_a", nullptr, ""},
    {"typical_p", nullptr, ""},
    {"xtc_probability", nullptr, ""},
    {"xtc_threshold", nullptr, ""},
};

struct Alias {
  std::string_view name;
  std::string_view means;
};

// Names that other tools have for a parameter (Transformers, TGI, llama.cpp, Ollama, Anthropic).
constexpr Alias kAliases[] = {
    {"do_sample", "temperature"},
    {"temp", "temperature"},
    {"max_new_tokens", "max_tokens"},
    {"max_output_tokens", "max_tokens"},
    {"max_gen_toks", "max_tokens"},
    {"max_length", "max_tokens"},
    {"n_predict", "max_tokens"},
    {"num_predict", "max_tokens"},
    {"min_new_tokens", "min_tokens"},
    {"min_length", "min_tokens"},
    {"num_return_sequences", "n"},
    {"num_completions", "n"},
    {"nucleus_p", "top_p"},
    {"random_seed", "seed"},
    {"sampling_seed", "seed"},
    {"rep_pen", "repetition_penalty"},
    {"repeat_penalty", "repetition_penalty"},
    {"stop_sequences", "stop"},
    {"stop_sequence", "stop"},
    {"stop_strings", "stop"},
    {"stop_words", "stop"},
    {"eos_token_id", "stop_token_ids"},
    {"ignore_eos_token", "ignore_eos"},
    {"n_probs", "logprobs"},
    {"return_full_text", "echo"},
    {"system", "messages"},
    {"system_prompt", "messages"},
};

// Where clients and servers have an object with parameters in it.
constexpr std::string_view kParameterObjects[] = {
    "extra_body", "generation_config",   "generation_kwargs", "options",
    "parameters", "sampling_parameters", "sampling_params",
};

}  // namespace

bool accept_without_effect(const Field& field) {
  if (is_without_effect(field.name)) return true;
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

std::string_view name_here(std::string_view name) {
  const auto* found = std::find_if(std::begin(kAliases), std::end(kAliases),
                                   [&](const Alias& alias) { return alias.name == name; });
  return found == std::end(kAliases) ? "" : found->means;
}

bool may_hold_parameters(std::string_view name) {
  return std::find(std::begin(kParameterObjects), std::end(kParameterObjects), name) !=
         std::end(kParameterObjects);
}

bool is_without_effect(std::string_view name) {
  return std::find(std::begin(kIgnored), std::end(kIgnored), name) != std::end(kIgnored);
}

std::vector<std::string_view> unsupported_names() {
  std::vector<std::string_view> names;
  for (const Unsupported& entry : kUnsupported) names.push_back(entry.name);
  return names;
}

}  // namespace prefold
