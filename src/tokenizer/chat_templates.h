// A model's chat templates, compiled, and which of them a request gets.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "tokenizer/chat_format.h"
#include "tokenizer/chat_template.h"

namespace prefold {

class ChatTemplates {
 public:
  // Compiles those that requests can get: "default" and "tool_use". One that does not compile is
  // an error of the requests that would get it, not of the model.
  explicit ChatTemplates(const std::vector<NamedTemplate>& templates);

  // As transformers picks: "tool_use" for requests that have tools, where there is one, "default"
  // for all others. Throws RequestError: "no_chat_template" if there is none for this request,
  // "template_error" if it did not compile.
  const ChatTemplate& pick(bool has_tools) const;

 private:
  struct Entry {
    std::string name;
    std::variant<ChatTemplate, std::string> compiled;  // or why it is not
  };
  std::vector<Entry> entries_;
  size_t n_others_ = 0;      // templates that no request gets
  std::string other_names_;  // of the first of those, for messages
};

}  // namespace prefold
