#include "run/chat_prompt.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "base/error.h"
#include "io/json_line.h"
#include "model/model_file.h"

using namespace prefold;

namespace {

const std::string kFolder = "tests/data/templates/";

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TextModel model_with(const std::string& source) {
  TextModel text = make_text_model(open_model("tests/data/models/tiny_bpe.gguf"), 0);
  text.chat_templates = ChatTemplates({{"default", source}});
  text.special_tokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  return text;
}

Json call(const Json& arguments) {
  return {
      {{"role", "assistant"},
       {"content", "x"},
       {"tool_calls", Json::array({{{"type", "function"},
                                    {"function", {{"name", "f"}, {"arguments", arguments}}}}})}}};
}

}  // namespace

TEST_CASE("OpenAI's conversations become the prompts that vLLM makes of them") {
  const Json oracle = Json::parse(read_file(kFolder + "openai_chats.json"));
  std::map<std::string, TextModel> models;
  int n_rendered = 0;
  for (const Json& expected : oracle["cases"]) {
    const std::string file = expected["template"], conversation = expected["conversation"];
    CAPTURE(file);
    CAPTURE(conversation);
    if (models.count(file) == 0) models.emplace(file, model_with(read_file(kFolder + file)));
    ChatMessages chat{oracle["conversations"][conversation], nullptr, nullptr, true};
    if (expected["tools"]) chat.tools = oracle["tools"];
    CAPTURE(chat.tools.is_null());
    std::string text, error;
    try {
      text = render_chat(models.at(file), chat);
    } catch (const RequestError& refused) {
      error = refused.what();
    }
    if (expected.contains("text")) {
      CHECK_MESSAGE(text == expected["text"].get<std::string>(), error);
      ++n_rendered;
    } else {
      CHECK_MESSAGE(!error.empty(), text);
    }
  }
  CHECK(n_rendered > 170);
}

TEST_CASE("a template that joins strings gets the arguments of tool calls as they are given") {
  const TextModel text = model_with(
      "{% for m in messages %}{{ 'call ' + m.tool_calls[0].function.arguments }}{% endfor %}");
  const Json messages = call("{\"a\":  1}");
  CHECK(render_chat(text, {messages, nullptr, nullptr, true}) == "call {\"a\":  1}");
  const Json object = call({{"a", 1}});
  CHECK_THROWS_AS(render_chat(text, {object, nullptr, nullptr, true}), RequestError);
}

TEST_CASE("arguments of a tool call that are no JSON object are refused by name") {
  const TextModel text = model_with("{{ messages[0].content }}");
  const char* const name = "\"messages[0].tool_calls[0].function.arguments\" is ";
  for (const auto& [arguments, problem] : std::map<std::string, std::string>{
           {"\"{\\\"a\\\": \"", "no text of a JSON object: "},
           {"\"[1]\"", "no text of a JSON object: "},
           {"[1]", "an array; expected the text of a JSON object, or an object"},
           {"true", "true; expected the text of a JSON object, or an object"}}) {
    CAPTURE(arguments);
    std::string message;
    try {
      render_chat(text, {call(Json::parse(arguments)), nullptr, nullptr, true});
    } catch (const RequestError& error) {
      CHECK(error.code() == "invalid_value");
      message = error.what();
    }
    CHECK_MESSAGE(message.starts_with(name + problem), message);
  }
}
