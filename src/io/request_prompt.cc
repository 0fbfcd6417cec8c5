#include <array>

#include "base/error.h"
#include "io/request_draft.h"

namespace prefold {
namespace {

[[noreturn]] void missing_field(const std::string& message) {
  throw RequestError("missing_field", message);
}

[[noreturn]] void unsupported_content(const std::string& message) {
  throw RequestError("unsupported_content", message);
}

void check_content_part(const std::string& name, Json& part) {
  if (!part.is_object()) throw_unexpected({name, part}, "an object such as {\"type\": \"text\"}");
  const auto type = part.find("type");
  if (type == part.end()) missing_field(fmt::format("\"{}\" has no \"type\"", name));
  if (!type->is_string()) throw_unexpected({name + ".type", *type}, "a string");
  if (*type != "text") {
    unsupported_content(
        fmt::format("\"{}.type\" is {}; only \"text\" is supported", name, show_value(*type)));
  }
  const auto text = part.find("text");
  if (text == part.end()) missing_field(fmt::format("\"{}\" has no \"text\"", name));
  if (!text->is_string()) throw_unexpected({name + ".text", *text}, "a string");
}

void check_message(const std::string& name, Json& message) {
  if (!message.is_object()) throw_unexpected({name, message}, "an object");
  const auto role = message.find("role");
  if (role == message.end()) missing_field(fmt::format("\"{}\" has no \"role\"", name));
  if (!role->is_string() || role->get_ref<const std::string&>().empty()) {
    throw_unexpected({name + ".role", *role}, "a non-empty string");
  }
  const auto content = message.find("content");
  if (content == message.end()) {
    if (message.contains("tool_calls")) return;
    missing_field(fmt::format("\"{}\" has no \"content\"", name));
  }
  if (content->is_string() || content->is_null()) return;
  if (!content->is_array()) {
    throw_unexpected({name + ".content", *content}, "a string, null or an array of text parts");
  }
  size_t part_idx = 0;
  for (Json& part : *content) {
    check_content_part(fmt::format("{}.content[{}]", name, part_idx++), part);
  }
}

// Variables of the chat template that other members set.
constexpr std::array<const char*, 3> kReservedTemplateVariables = {"messages", "tools",
                                                                   "add_generation_prompt"};

}  // namespace

void read_prompt(const Field& field, RequestDraft& draft) {
  draft.n_prompts += 1;
  if (field.value.is_array() && !field.value.empty() && !field.value[0].is_number()) {
    const std::string_view of = field.value[0].is_string()  ? "strings"
                                : field.value[0].is_array() ? "arrays"
                                                            : "other things than token ids";
    throw_invalid_value(fmt::format(
        "\"{}\" is an array of {}; one line holds one prompt, a string or an array of token ids",
        field.name, of));
  }
  if (field.value.is_array()) {
    draft.prompt_ids = get_token_ids(field, field.value.size(), false);
    return;
  }
  if (!field.value.is_string()) throw_unexpected(field, "a string or an array of token ids");
  draft.prompt_text = get_string(field);
}

void read_prompt_token_ids(const Field& field, RequestDraft& draft) {
  draft.n_prompts += 1;
  draft.prompt_ids = get_token_ids(field, field.value.size(), false);
}

// A string, token ids, or an array of either; as many as OpenAI takes.
void read_input(const Field& field, RequestDraft& draft) {
  constexpr size_t kMaxInputs = 2048;
  draft.n_prompts += 1;
  EmbeddingInputs& inputs = draft.inputs.emplace();
  if (field.value.is_string()) {
    inputs.inputs.emplace_back(get_string(field));
    return;
  }
  const bool is_array = field.value.is_array() && !field.value.empty();
  if (!is_array) {
    throw_unexpected(field, "a string, an array of token ids, or an array of several of them");
  }
  if (field.value[0].is_number()) {
    inputs.inputs.emplace_back(get_token_ids(field, field.value.size(), false));
    return;
  }
  if (field.value.size() > kMaxInputs) {
    throw_invalid_value(fmt::format("\"{}\" has {} entries; expected at most {}", field.name,
                                    field.value.size(), kMaxInputs));
  }
  for (Json& entry : field.value) {
    const Field input{fmt::format("{}[{}]", field.name, inputs.inputs.size()), entry};
    if (entry.is_string()) {
      inputs.inputs.emplace_back(get_string(input));
    } else if (entry.is_array()) {
      inputs.inputs.emplace_back(get_token_ids(input, entry.size(), false));
    } else {
      throw_unexpected(input, "a string or an array of token ids");
    }
  }
}

void read_messages(const Field& field, RequestDraft& draft) {
  draft.n_prompts += 1;
  if (!field.value.is_array()) throw_unexpected(field, "an array of messages");
  if (field.value.empty()) throw_unexpected(field, "at least one message");
  size_t message_idx = 0;
  for (Json& message : field.value) {
    check_message(fmt::format("{}[{}]", field.name, message_idx++), message);
  }
  draft.messages = std::move(field.value);
}

void read_tools(const Field& field, RequestDraft& draft) {
  if (!field.value.is_array()) throw_unexpected(field, "an array of tools");
  size_t tool_idx = 0;
  for (Json& tool : field.value) {
    if (!tool.is_object()) {
      throw_unexpected({fmt::format("{}[{}]", field.name, tool_idx), tool}, "an object");
    }
    tool_idx += 1;
  }
  draft.tools = std::move(field.value);
}

void read_tool_choice(const Field& field, RequestDraft&) {
  if (field.value == "none" || field.value == "auto") return;
  throw RequestError("unsupported_parameter",
                     fmt::format("\"tool_choice\" is {}; only \"none\" and \"auto\" are supported",
                                 show_value(field.value)));
}

void read_chat_template_kwargs(const Field& field, RequestDraft& draft) {
  if (!field.value.is_object()) throw_unexpected(field, "an object");
  for (const char* name : kReservedTemplateVariables) {
    if (field.value.contains(name)) {
      throw_invalid_value(
          fmt::format("\"{}\" sets \"{}\", which is a member of its own", field.name, name));
    }
  }
  draft.template_kwargs = std::move(field.value);
}

void check_one_prompt(const RequestDraft& draft) {
  if (draft.n_prompts == 0) {
    switch (draft.form) {
      case RequestForm::kEmbeddingBody:
        missing_field("\"input\" is missing");
      case RequestForm::kChatBody:
        missing_field("\"messages\" is missing");
      case RequestForm::kCompletionBody:
        missing_field("\"prompt\" is missing");
      case RequestForm::kShortMessages:
      case RequestForm::kShortPrompt:
        missing_field("no prompt; expected \"prompt\", \"messages\" or \"prompt_token_ids\"");
    }
  }
  if (draft.n_prompts > 1) {
    throw_invalid_value(
        "more than one prompt; expected one of \"prompt\", \"messages\" and "
        "\"prompt_token_ids\"");
  }
}

void finish_prompt(RequestDraft& draft) {
  Request& request = draft.request;
  // A chat template writes the special tokens itself.
  request.add_special_tokens = draft.add_special_tokens.value_or(!draft.messages.has_value());
  if (draft.inputs) {
    request.prompt = std::move(*draft.inputs);
  } else if (draft.prompt_text) {
    request.prompt = std::move(*draft.prompt_text);
  } else if (draft.prompt_ids) {
    request.prompt = std::move(*draft.prompt_ids);
  } else {
    request.prompt = ChatMessages{std::move(*draft.messages), std::move(draft.tools),
                                  std::move(draft.template_kwargs), draft.add_generation_prompt};
  }
}

}  // namespace prefold
