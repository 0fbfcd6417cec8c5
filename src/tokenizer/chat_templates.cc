#include "tokenizer/chat_templates.h"

#include <algorithm>

#include "base/error.h"

namespace prefold {
namespace {

constexpr const char* kDefault = "default";
constexpr const char* kToolUse = "tool_use";
constexpr size_t kMaxNames = 8;  // in a message

std::variant<ChatTemplate, std::string> compile(const std::string& source) {
  try {
    return ChatTemplate(source);
  } catch (const FormatError& error) {
    return error.what();
  }
}

}  // namespace

ChatTemplates::ChatTemplates(const std::vector<NamedTemplate>& templates) {
  for (const NamedTemplate& named : templates) {
    if (named.name == kDefault || named.name == kToolUse) {
      entries_.push_back({named.name, compile(named.source)});
    } else if (++n_others_ <= kMaxNames) {
      other_names_ += (other_names_.empty() ? "" : ", ") + quoted_name(named.name);
    }
  }
}

const ChatTemplate& ChatTemplates::pick(bool has_tools) const {
  const auto find = [&](const char* name) {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const Entry& entry) { return entry.name == name; });
  };
  auto entry = has_tools ? find(kToolUse) : entries_.end();
  if (entry == entries_.end()) entry = find(kDefault);
  if (entry != entries_.end()) {
    if (const auto* why = std::get_if<std::string>(&entry->compiled)) {
      throw RequestError("template_error", *why);
    }
    return std::get<ChatTemplate>(entry->compiled);
  }
  constexpr const char* kAdvice = "use \"prompt\" instead of \"messages\"";
  if (!entries_.empty()) {
    throw RequestError("no_chat_template",
                       fmt::format("this model has a chat template for requests with \"tools\" "
                                   "only; {}",
                                   kAdvice));
  }
  if (n_others_ > 0) {
    throw RequestError(
        "no_chat_template",
        fmt::format("this model's chat templates are {}{}; none is \"{}\"; {}", other_names_,
                    n_others_ > kMaxNames ? ", ..." : "", kDefault, kAdvice));
  }
  throw RequestError("no_chat_template",
                     fmt::format("this model has no chat template; {}", kAdvice));
}

}  // namespace prefold
