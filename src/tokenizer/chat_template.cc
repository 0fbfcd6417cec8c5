#include "tokenizer/chat_template.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/parser.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;
using jinja::Runtime;
using jinja::Value;

[[noreturn]] void fail(const std::string& what) {
  throw RequestError("template_error", "chat template: " + what);
}

Value to_string_value(Runtime& rt, const std::string& text) {
  if (!jinja::is_utf8(text)) fail("a text of the request is not UTF-8");
  return Value::string(rt.heap(), text);
}

Value to_value(Runtime& rt, const Json& json, int32_t depth) {
  if (depth > jinja::kMaxValueDepth) fail("the request is nested too deeply");
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
        fail("an integer of the request leaves 64 bits");
      }
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string:
      return to_string_value(rt, json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(to_value(rt, item, depth + 1));
      return Value::list(rt.heap(), std::move(items));
    }
    case Json::value_t::object: {
      const std::shared_ptr<jinja::DictData> dict = rt.new_dict();
      for (const auto& [key, item] : json.items()) {
        dict->set(to_string_value(rt, key), to_value(rt, item, depth + 1));
      }
      return Value::dict(dict);
    }
    default:
      return Value::none();
  }
}

// As transformers does before it renders: members that are null are dropped, and a message's
// reasoning, whichever of its names it comes under, is there as "thinking" (first) and as
// "reasoning_content" (last, or in its place).
Value to_message(Runtime& rt, const Json& message) {
  if (!message.is_object()) return to_value(rt, message, 2);
  constexpr std::array<std::string_view, 3> kReasoningNames = {"reasoning_content", "thinking",
                                                               "reasoning"};
  const Json* reasoning = nullptr;
  for (std::string_view name : kReasoningNames) {
    const auto found = message.find(std::string(name));
    if (reasoning == nullptr && found != message.end() && !found->is_null()) reasoning = &*found;
  }
  const std::shared_ptr<jinja::DictData> dict = rt.new_dict();
  const auto set = [&](const std::string& name, const Json& value) {
    dict->set(to_string_value(rt, name), to_value(rt, value, 3));
  };
  if (reasoning != nullptr) set("thinking", *reasoning);
  for (const auto& [name, value] : message.items()) {
    if (!value.is_null()) set(name, value);
  }
  if (reasoning != nullptr) set("reasoning_content", *reasoning);
  return Value::dict(dict);
}

Value to_variables(Runtime& rt, const Json& json) {
  const std::shared_ptr<jinja::DictData> dict = rt.new_dict();
  const auto set = [&](const std::string& name, Value value) {
    dict->set(to_string_value(rt, name), std::move(value));
  };
  set("tools", Value::none());
  set("documents", Value::none());
  set("add_generation_prompt", Value::boolean(false));
  if (!json.is_object()) fail("the variables are not an object");
  for (const auto& [name, value] : json.items()) {
    if (name != "messages" || !value.is_array()) {
      set(name, to_value(rt, value, 1));
      continue;
    }
    std::vector<Value> messages;
    for (const Json& message : value) messages.push_back(to_message(rt, message));
    set(name, Value::list(rt.heap(), std::move(messages)));
  }
  return Value::dict(dict);
}

}  // namespace

struct ChatTemplate::Impl {
  jinja::Template tree;
};

ChatTemplate::ChatTemplate(const std::string& source)
    : impl_(std::make_unique<Impl>(Impl{jinja::compile(source)})) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const Json& variables, int64_t now_unix_s) const {
  Runtime rt(now_unix_s);
  rt.set_variables(to_variables(rt, variables));
  return jinja::render(impl_->tree, rt);
}

}  // namespace prefold
