#include "tokenizer/chat_templates.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace prefold {
namespace {

// What the picked template renders, or "code: message".
std::string pick(const std::vector<NamedTemplate>& templates, bool has_tools) {
  try {
    return ChatTemplates(templates).pick(has_tools).render(nlohmann::ordered_json::object(), 0);
  } catch (const RequestError& error) {
    return error.code() + ": " + error.what();
  }
}

TEST_CASE("requests with tools get the template for tools where there is one") {
  const std::vector<NamedTemplate> one = {{"default", "a"}};
  const std::vector<NamedTemplate> three = {{"rag", "c"}, {"tool_use", "b"}, {"default", "a"}};
  CHECK(pick(one, false) == "a");
  CHECK(pick(one, true) == "a");
  CHECK(pick(three, false) == "a");
  CHECK(pick(three, true) == "b");
}

TEST_CASE("without a template for a request the error says which there are") {
  CHECK(pick({}, true) ==
        "no_chat_template: this model has no chat template; use \"prompt\" instead of "
        "\"messages\"");
  CHECK(pick({{"tool_use", "b"}}, true) == "b");
  CHECK(pick({{"tool_use", "b"}}, false) ==
        "no_chat_template: this model has a chat template for requests with \"tools\" only; use "
        "\"prompt\" instead of \"messages\"");
  CHECK(pick({{"rag", "c"}, {"x", "d"}}, false) ==
        "no_chat_template: this model's chat templates are \"rag\", \"x\"; none is \"default\"; "
        "use \"prompt\" instead of \"messages\"");
}

TEST_CASE("hostile names of templates make short and plain messages") {
  std::vector<NamedTemplate> templates;
  for (int i = 0; i < 1000; ++i) templates.push_back({"\x1b\xff" + std::string(1000, 'x'), ""});
  const std::string message = pick(templates, false);
  CHECK(message.size() < 1000);
  CHECK(message.find("\"\\u001b\\ufffdxxx") != std::string::npos);
  CHECK(message.find(", ...; none is \"default\"") != std::string::npos);
}

TEST_CASE("a template that does not compile fails only the requests that would get it") {
  const std::vector<NamedTemplate> templates = {
      {"default", "a"}, {"tool_use", "\n{% if %}"}, {"rag", "{{"}};
  CHECK(pick(templates, false) == "a");
  CHECK(pick(templates, true).starts_with("template_error: chat template, line 2: "));
}

}  // namespace
}  // namespace prefold
