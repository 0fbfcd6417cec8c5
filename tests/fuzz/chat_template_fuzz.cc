// Chat templates: compiled and rendered over a few conversations.
#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "fuzz/fuzz_target.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/unicode.h"

namespace {

using namespace prefold;
using Json = nlohmann::ordered_json;

std::array<Json, 2> make_variables() {
  return {Json::parse(R"({
    "messages": [
      {"role": "system", "content": "S"},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "é"}]},
      {"role": "assistant", "content": "<think>t</think> x", "tool_calls": [{"id": "call00001",
        "type": "function", "function": {"name": "f", "arguments": {"a": 1.5, "b": [null]}}}]},
      {"role": "tool", "tool_call_id": "call00001", "name": "f", "content": "{\"t\": 1}"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d <>",
      "parameters": {"type": "object", "properties": {"a": {"type": "number"},
        "b": {"type": "array", "items": {"type": "string"}}}, "required": ["a"]}}}],
    "documents": [{"title": "T", "text": "U", "doc_id": 1}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})"),
          Json::parse(R"({"messages": [{"role": "user", "content": "Hé"},
                                       {"role": "assistant", "content": "x"}],
                          "n": 7, "x": 2.5, "text": " one two ", "items": [3, 1, 2]})")};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  static const std::array<Json, 2> variables = make_variables();
  try {
    const ChatTemplate compiled{std::string(text_of(data, n_bytes))};
    for (const Json& of : variables) {
      try {
        const std::string text = compiled.render(of, 1732276800);
        CHECK(static_cast<int64_t>(text.size()) <= jinja::kMaxOutputBytes);
        CHECK(jinja::is_utf8(text));
      } catch (const RequestError&) {
      }
    }
  } catch (const FormatError&) {
  }
  return 0;
}
