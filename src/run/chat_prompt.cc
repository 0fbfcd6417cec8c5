#include "run/chat_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "io/json_line.h"

namespace prefold {
namespace {

// The object that arguments of a tool call spell; `name` is where they stand.
Json arguments_object(const Json& arguments, const std::string& name) {
  const bool is_text = arguments.is_string();
  if (arguments.is_null() || (is_text && arguments.get_ref<const std::string&>().empty())) {
    return Json::object();
  }
  if (arguments.is_object()) return arguments;
  if (is_text) {
    try {
      return parse_json_line(arguments.get_ref<const std::string&>());
    } catch (const RequestError& error) {
      throw RequestError("invalid_value",
                         fmt::format("\"{}\" is no text of a JSON object: {}", name, error.what()));
    }
  }
  throw RequestError("invalid_value",
                     fmt::format("\"{}\" is {}; expected the text of a JSON object, or an object",
                                 name, show_value(arguments)));
}

// Returns whether anything was changed.
bool parse_arguments_of(Json& message, const std::string& name) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array() || message["role"] != "assistant") return false;
  if (calls->empty()) {
    message.erase("tool_calls");
    return true;
  }
  bool changed = false;
  for (size_t i = 0; i < calls->size(); ++i) {
    Json& call = (*calls)[i];
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
    Json& arguments = call["function"]["arguments"];  // null if there are none
    if (arguments.is_object()) continue;
    arguments =
        arguments_object(arguments, fmt::format("{}.tool_calls[{}].function.arguments", name, i));
    changed = true;
  }
  return changed;
}

bool has_parts(const Json& message) {
  const auto content = message.find("content");
  return content != message.end() && content->is_array();
}

void join_parts(Json& message) {
  if (!has_parts(message)) return;
  std::string joined;
  for (const Json& part : message["content"]) {
    const std::string& piece = part["text"].get_ref<const std::string&>();
    if (piece.empty()) continue;
    if (!joined.empty()) joined += '\n';
    joined += piece;
  }
  message["content"] = std::move(joined);
}

struct Renderer {
  const TextModel& text;
  const ChatTemplate& chat_template;
  Json variables;  // all but the messages

  std::string operator()(Json messages) {
    variables["messages"] = std::move(messages);
    return chat_template.render(variables, text.now_unix_s);
  }

  // Whether a message's parts come out as their text, rather than as an error or as a list.
  bool takes_parts() const {
    constexpr std::string_view kWord = "prefold-asks";
    const Json part = {{"type", "text"}, {"text", kWord}};
    Renderer alone{text, chat_template, variables};
    alone.variables["tools"] = nullptr;
    try {
      const std::string shown = alone({{{"role", "user"}, {"content", Json::array({part})}}});
      return shown.find(kWord) != std::string::npos &&
             shown.find(R"('type': 'text')") == std::string::npos &&
             shown.find(R"("type": "text")") == std::string::npos;
    } catch (const RequestError&) {
      return false;
    }
  }
};

}  // namespace

std::string render_chat(const TextModel& text, const ChatMessages& chat) {
  Renderer render{text, text.chat_templates.pick(!chat.tools.is_null()),
                  nlohmann::ordered_json::object()};
  Json& variables = render.variables;
  variables["tools"] = chat.tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = chat.add_generation_prompt;
  for (const SpecialTokenName& token : text.special_tokens) variables[token.name] = token.spelling;
  if (chat.template_kwargs.is_object()) variables.update(chat.template_kwargs);

  Json messages = chat.messages;
  if (std::any_of(messages.begin(), messages.end(), has_parts) && !render.takes_parts()) {
    for (Json& message : messages) join_parts(message);
  }
  const auto has_calls = [](const Json& message) { return message.contains("tool_calls"); };
  if (std::none_of(messages.begin(), messages.end(), has_calls)) return render(std::move(messages));
  Json parsed = messages;
  bool changed = false;
  for (size_t i = 0; i < parsed.size(); ++i) {
    changed |= parse_arguments_of(parsed[i], fmt::format("messages[{}]", i));
  }
  if (!changed) return render(std::move(messages));
  try {
    return render(std::move(parsed));
  } catch (const RequestError& error) {
    try {
      return render(std::move(messages));
    } catch (const RequestError&) {
      throw error;
    }
  }
}

}  // namespace prefold
