#include <doctest/doctest.h>
#include <fmt/format.h>

#include <vector>

#include "io/request_reader.h"
#include "io/test_lines.h"

namespace prefold {
namespace {

struct BadLine {
  std::string text;
  std::string code;
  std::string message;  // after "prompts.jsonl:118: "
};

// `members` follows {"prompt":"x",
BadLine bad(const std::string& members, const std::string& code, const std::string& message) {
  return {"{\"prompt\":\"x\"," + members + "}", code, message};
}

void check_bad(const std::vector<BadLine>& lines) {
  for (const BadLine& line : lines) {
    CAPTURE(line.text.substr(0, 200));
    const RequestOrError result = read(line.text);
    const auto* error = std::get_if<LineError>(&result);
    REQUIRE(error != nullptr);
    CHECK(error->failure.code == line.code);
    CHECK(error->failure.message == "prompts.jsonl:118: " + line.message);
  }
}

TEST_CASE("bad JSON is an error that says where") {
  const auto repeat = [](const std::string& text, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += text;
    return out;
  };
  check_bad({
      {"{\"id\":\"a\xff\"}", "invalid_utf8", "byte 9 (0xff) is not valid UTF-8"},
      {"{\"id\":\"\xed\xa0\x80\"}", "invalid_utf8", "byte 8 (0xed) is not valid UTF-8"},
      {"\xc3", "invalid_utf8", "byte 1 (0xc3) is not valid UTF-8"},
      {"hello", "invalid_json",
       "invalid JSON at byte 1: syntax error while parsing value - invalid literal"},
      {R"({"a":NaN})", "invalid_json",
       "invalid JSON at byte 6: syntax error while parsing value - invalid literal"},
      {R"({"a":Infinity})", "invalid_json",
       "invalid JSON at byte 6: syntax error while parsing value - invalid literal"},
      {R"({"a":1e999})", "invalid_json",
       "invalid JSON at byte 10: number overflow parsing '1e999'"},
      {R"({"a":"\ud800"})", "invalid_json",
       "invalid JSON at byte 13: syntax error while parsing value - invalid string: surrogate "
       "U+D800..U+DBFF must be followed by U+DC00..U+DFFF"},
      {"[1]", "invalid_json", "the line is an array; expected a JSON object"},
      {"\"text\"", "invalid_json", "the line is \"text\"; expected a JSON object"},
      {"17", "invalid_json", "the line is 17; expected a JSON object"},
      {R"({"prompt":"a","prompt":"b"})", "invalid_json",
       "the key \"prompt\" stands twice in one object"},
      {R"({"prompt":"a","metadata":{"b":{"c":1,"d":2,"c":3}}})", "invalid_json",
       "the key \"c\" stands twice in one object"},
      {repeat("[", 10'000'000), "invalid_json", "JSON nested deeper than 128 levels"},
      {repeat("{\"a\":", 100'000), "invalid_json", "JSON nested deeper than 128 levels"},
      {std::string("[") + repeat("0,", 4'000'001) + "0]", "invalid_json",
       "more than 4000000 JSON values in one line"},
  });
  const RequestOrError cut = read(R"({"prompt":"a)");
  CHECK(std::get<LineError>(cut).failure.message.starts_with(
      "prompts.jsonl:118: invalid JSON at byte 13: syntax error while parsing value - invalid "
      "string: missing closing quote"));
  const RequestOrError trailing = read(R"({"prompt":"a"} {})");
  CHECK(std::get<LineError>(trailing).failure.code == "invalid_json");
}

TEST_CASE("bad ids") {
  check_bad({
      {R"({"id":"","prompt":"x"})", "invalid_id", "\"id\" has 0 bytes; expected from 1 to 512"},
      {R"({"id":1.5,"prompt":"x"})", "invalid_id",
       "\"id\" is 1.5; expected a string or an integer"},
      {R"({"id":[1],"prompt":"x"})", "invalid_id",
       "\"id\" is an array; expected a string or an integer"},
      {R"({"id":123456789012345678901234567890,"prompt":"x"})", "invalid_id",
       "\"id\" is 1.2345678901234568e+29; expected a string or an integer"},
      {"{\"id\":\"" + std::string(513, 'x') + "\",\"prompt\":\"x\"}", "invalid_id",
       "\"id\" has 513 bytes; expected from 1 to 512"},
      {R"({"custom_id":5,"body":{}})", "invalid_id", "\"custom_id\" is 5; expected a string"},
  });
}

TEST_CASE("bad values of parameters say what was found and what was wanted") {
  check_bad({
      bad(R"("max_tokens":-5)", "invalid_value",
          "\"max_tokens\" is -5; expected an integer from 0 to 2147483647"),
      bad(R"("max_tokens":0)", "invalid_value",
          "\"max_tokens\" is 0; expected an integer from 1, or \"echo\" or \"prompt_logprobs\" "
          "beside it"),
      bad(R"("max_tokens":1.5)", "invalid_value",
          "\"max_tokens\" is 1.5; expected an integer from 0 to 2147483647"),
      bad(R"("max_tokens":"16")", "invalid_value",
          "\"max_tokens\" is \"16\"; expected an integer from 0 to 2147483647"),
      bad(R"("max_tokens":true)", "invalid_value",
          "\"max_tokens\" is true; expected an integer from 0 to 2147483647"),
      bad(R"("max_tokens":18446744073709551615)", "invalid_value",
          "\"max_tokens\" is 18446744073709551615; expected an integer from 0 to 2147483647"),
      bad(R"("max_completion_tokens":[])", "invalid_value",
          "\"max_completion_tokens\" is an empty array; expected an integer from 0 to 2147483647"),
      bad(R"("max_tokens":4,"max_completion_tokens":5)", "invalid_value",
          "\"max_tokens\" is 4 but \"max_completion_tokens\" is 5"),
      bad(R"("min_tokens":9,"max_tokens":8)", "invalid_value",
          "\"min_tokens\" is 9, more than \"max_tokens\", 8"),
      bad(R"("min_tokens":-1)", "invalid_value",
          "\"min_tokens\" is -1; expected an integer from 0 to 2147483647"),
      bad(R"("temperature":-0.1)", "invalid_value",
          "\"temperature\" is -0.1; expected a number from 0 to 100"),
      bad(R"("temperature":1e30)", "invalid_value",
          "\"temperature\" is 1e+30; expected a number from 0 to 100"),
      bad(R"("temperature":"hot")", "invalid_value",
          "\"temperature\" is \"hot\"; expected a number from 0 to 100"),
      bad(R"("top_p":0)", "invalid_value", "\"top_p\" is 0; expected a number above 0, up to 1"),
      bad(R"("top_p":1.01)", "invalid_value",
          "\"top_p\" is 1.01; expected a number above 0, up to 1"),
      bad(R"("top_k":-2)", "invalid_value",
          "\"top_k\" is -2; expected an integer from -1 to 2147483647"),
      bad(R"("min_p":2)", "invalid_value", "\"min_p\" is 2; expected a number from 0 to 1"),
      bad(R"("seed":9223372036854775808)", "invalid_value",
          "\"seed\" is 9223372036854775808; expected an integer from -9223372036854775808 to "
          "9223372036854775807"),
      bad(R"("seed":0.5)", "invalid_value",
          "\"seed\" is 0.5; expected an integer from -9223372036854775808 to 9223372036854775807"),
      bad(R"("n":0)", "invalid_value", "\"n\" is 0; expected an integer from 1 to 128"),
      bad(R"("n":129)", "invalid_value", "\"n\" is 129; expected an integer from 1 to 128"),
      bad(R"("presence_penalty":2.5)", "invalid_value",
          "\"presence_penalty\" is 2.5; expected a number from -2 to 2"),
      bad(R"("frequency_penalty":{})", "invalid_value",
          "\"frequency_penalty\" is an empty object; expected a number from -2 to 2"),
      bad(R"("repetition_penalty":0.0)", "invalid_value",
          "\"repetition_penalty\" is 0.0; expected a number above 0, up to 2"),
      bad(R"("logit_bias":[1])", "invalid_value",
          "\"logit_bias\" is an array; expected an object from token ids to numbers"),
      bad(R"("logit_bias":{"x":1})", "invalid_value",
          "\"logit_bias\" has the key \"x\"; expected token ids from 0 to 2147483647"),
      bad(R"("logit_bias":{"05":1})", "invalid_value",
          "\"logit_bias\" has the key \"05\"; expected token ids from 0 to 2147483647"),
      bad(R"("logit_bias":{"2147483648":1})", "invalid_value",
          "\"logit_bias\" has the key \"2147483648\"; expected token ids from 0 to 2147483647"),
      bad(R"("logit_bias":{"5":101})", "invalid_value",
          "\"logit_bias.5\" is 101; expected a number from -100 to 100"),
      bad(R"("stop":5)", "invalid_value",
          "\"stop\" is 5; expected a string or an array of strings"),
      bad(R"("stop":"")", "invalid_value", "\"stop\" has 0 bytes; expected from 1 to 1024"),
      bad(R"("stop":["a",""])", "invalid_value",
          "\"stop[1]\" has 0 bytes; expected from 1 to 1024"),
      bad(R"("stop":["a",null])", "invalid_value", "\"stop[1]\" is null; expected a string"),
      bad(R"("stop":["","","","","","","","","","","","","","","","",""])", "invalid_value",
          "\"stop\" has 17 entries; expected at most 16"),
      bad(R"("stop_token_ids":[1,-1])", "invalid_value",
          "\"stop_token_ids[1]\" is -1; expected a token id from 0 to 2147483647"),
      bad(R"("stop_token_ids":7)", "invalid_value",
          "\"stop_token_ids\" is 7; expected an array of token ids"),
      bad(R"("ignore_eos":1)", "invalid_value", "\"ignore_eos\" is 1; expected true or false"),
      bad(R"("logprobs":21)", "invalid_value",
          "\"logprobs\" is 21; expected an integer from 0 to 20"),
      bad(R"("logprobs":"yes")", "invalid_value",
          "\"logprobs\" is \"yes\"; expected true, false or an integer from 0 to 20"),
      bad(R"("logprobs":2,"top_logprobs":3)", "invalid_value",
          "\"logprobs\" is 2 but \"top_logprobs\" is 3"),
      bad(R"("top_logprobs":3)", "invalid_value",
          "\"top_logprobs\" is 3, which needs \"logprobs\": true"),
      bad(R"("logprobs":false,"top_logprobs":3)", "invalid_value",
          "\"top_logprobs\" is 3, which needs \"logprobs\": true"),
      bad(R"("prompt_logprobs":-1)", "invalid_value",
          "\"prompt_logprobs\" is -1; expected an integer from 0 to 20"),
      bad(R"("model":5)", "invalid_value", "\"model\" is 5; expected a string"),
      bad(R"("lora":["a"])", "invalid_value", "\"lora\" is an array; expected a string"),
      bad(R"("echo":"true")", "invalid_value", "\"echo\" is \"true\"; expected true or false"),
      {chat_line(",\"logprobs\":3"), "invalid_value", "\"logprobs\" is 3; expected true or false"},
      {completion_line("\"prompt\":\"x\",\"logprobs\":true"), "invalid_value",
       "\"logprobs\" is true; expected an integer from 0 to 20"},
      bad("\"temperature\":\"" + std::string(100, 'y') + "\"", "invalid_value",
          "\"temperature\" is \"" + std::string(60, 'y') +
              "...\"; expected a number from 0 to 100"),
  });
}

TEST_CASE("bad prompts and messages") {
  const std::string user = R"({"role":"user","content":"x"},)";
  check_bad({
      {"{}", "missing_field",
       "no prompt; expected \"prompt\", \"messages\" or \"prompt_token_ids\""},
      {R"({"id":"a","prompt":null})", "missing_field",
       "no prompt; expected \"prompt\", \"messages\" or \"prompt_token_ids\""},
      {R"({"prompt":"x","prompt_token_ids":[1]})", "invalid_value",
       "more than one prompt; expected one of \"prompt\", \"messages\" and \"prompt_token_ids\""},
      {R"({"prompt_token_ids":[1],"prompt":[2]})", "invalid_value",
       "more than one prompt; expected one of \"prompt\", \"messages\" and \"prompt_token_ids\""},
      {R"({"prompt":["a","b"]})", "invalid_value",
       "\"prompt\" is an array of strings; one line holds one prompt, a string or an array of "
       "token "
       "ids"},
      {R"({"prompt":[[1],[2]]})", "invalid_value",
       "\"prompt\" is an array of arrays; one line holds one prompt, a string or an array of token "
       "ids"},
      {R"({"prompt":[]})", "invalid_value",
       "\"prompt\" is an empty array; expected at least one token id"},
      {R"({"prompt":7})", "invalid_value",
       "\"prompt\" is 7; expected a string or an array of token ids"},
      {R"({"prompt":[1,2.0]})", "invalid_value",
       "\"prompt[1]\" is 2.0; expected a token id from 0 to 2147483647"},
      {R"({"prompt":[1,2147483648]})", "invalid_value",
       "\"prompt[1]\" is 2147483648; expected a token id from 0 to 2147483647"},
      {R"({"prompt_token_ids":"x"})", "invalid_value",
       "\"prompt_token_ids\" is \"x\"; expected an array of token ids"},
      {R"({"messages":"hi"})", "invalid_value",
       "\"messages\" is \"hi\"; expected an array of messages"},
      {R"({"messages":[]})", "invalid_value",
       "\"messages\" is an empty array; expected at least one message"},
      {"{\"messages\":[" + user + "3]}", "invalid_value",
       "\"messages[1]\" is 3; expected an object"},
      {"{\"messages\":[" + user + "{\"content\":\"x\"}]}", "missing_field",
       "\"messages[1]\" has no \"role\""},
      {R"({"messages":[{"role":"","content":"x"}]})", "invalid_value",
       "\"messages[0].role\" is \"\"; expected a non-empty string"},
      {R"({"messages":[{"role":"user"}]})", "missing_field", "\"messages[0]\" has no \"content\""},
      {R"({"messages":[{"role":"user","content":5}]})", "invalid_value",
       "\"messages[0].content\" is 5; expected a string, null or an array of text parts"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
       "unsupported_content",
       "\"messages[0].content[0].type\" is \"image_url\"; only \"text\" is supported"},
      {R"({"messages":[{"role":"user","content":["x"]}]})", "invalid_value",
       "\"messages[0].content[0]\" is \"x\"; expected an object such as {\"type\": \"text\"}"},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "missing_field",
       "\"messages[0].content[0]\" has no \"text\""},
      {chat_line(",\"tools\":{}"), "invalid_value",
       "\"tools\" is an empty object; expected an array of tools"},
      {chat_line(",\"tools\":[1]"), "invalid_value", "\"tools[0]\" is 1; expected an object"},
      {chat_line(",\"chat_template_kwargs\":{\"messages\":[]}"), "invalid_value",
       "\"chat_template_kwargs\" sets \"messages\", which is a member of its own"},
  });
}

TEST_CASE("known but unsupported and unknown parameters are refused by name") {
  check_bad({
      bad(R"("stream":true)", "unsupported_parameter",
          "\"stream\" is true; only false is supported"),
      bad(R"("response_format":{"type":"json_object"})", "unsupported_parameter",
          "\"response_format\" is an object; only {\"type\": \"text\"} is supported"),
      bad(R"("suffix":"end")", "unsupported_parameter",
          "\"suffix\" is \"end\"; only \"\" is supported"),
      bad(R"("guided_json":{})", "unsupported_parameter", "\"guided_json\" is not supported"),
      bad(R"("logits_processors":["x"])", "unsupported_parameter",
          "\"logits_processors\" is an array; only [] is supported"),
      bad(R"("best_of":4,"n":2)", "unsupported_parameter",
          "\"best_of\" is 4; only the value of \"n\" (2) is supported"),
      bad(R"("use_beam_search":true)", "unsupported_parameter",
          "\"use_beam_search\" is true; only false is supported"),
      bad(R"("tools":[])", "unsupported_parameter",
          "\"tools\" has no meaning in a line with a prompt"),
      bad(R"("truncate_prompt_tokens":5)", "unsupported_parameter",
          "\"truncate_prompt_tokens\" is not supported"),
      {chat_line(",\"modalities\":[\"text\",\"audio\"]"), "unsupported_parameter",
       "\"modalities\" is an array; only [\"text\"] is supported"},
      {chat_line(",\"audio\":{}"), "unsupported_parameter", "\"audio\" is not supported"},
      {chat_line(",\"tool_choice\":\"required\""), "unsupported_parameter",
       "\"tool_choice\" is \"required\"; only \"none\" and \"auto\" are supported"},
      {chat_line(",\"continue_final_message\":true"), "unsupported_parameter",
       "\"continue_final_message\" is true; only false is supported"},
      {chat_line(",\"echo\":true"), "unsupported_parameter",
       "\"echo\" has no meaning in a request to /v1/chat/completions"},
      {R"({"messages":[{"role":"user","content":"x"}],"echo":true})", "unsupported_parameter",
       "\"echo\" has no meaning in a line with \"messages\""},
      {completion_line(R"("prompt":"x","top_logprobs":1)"), "unsupported_parameter",
       "\"top_logprobs\" has no meaning in a request to /v1/completions"},
      {completion_line(R"("messages":[],"prompt":"x")"), "unsupported_parameter",
       "\"messages\" has no meaning in a request to /v1/completions"},
      bad(R"("typical_p":0.9)", "unsupported_parameter", "\"typical_p\" is not supported"),
  });
}

TEST_CASE("bad embedding lines") {
  check_bad({
      {embedding_line(R"("model":"m")"), "missing_field", "\"input\" is missing"},
      {embedding_line(R"("input":[])"), "invalid_value",
       "\"input\" is an empty array; expected a string, an array of token ids, or an array of "
       "several of them"},
      {embedding_line(R"("input":["a",5])"), "invalid_value",
       "\"input[1]\" is 5; expected a string or an array of token ids"},
      {embedding_line(R"("input":["a",[]])"), "invalid_value",
       "\"input[1]\" is an empty array; expected at least one token id"},
      {embedding_line(R"("input":"a","encoding_format":"int8")"), "invalid_value",
       "\"encoding_format\" is \"int8\"; expected \"float\" or \"base64\""},
      {embedding_line(R"("input":"a","dimensions":0)"), "invalid_value",
       "\"dimensions\" is 0; expected an integer from 1 to 2147483647"},
      {embedding_line(R"("input":"a","temperature":0)"), "unsupported_parameter",
       "\"temperature\" has no meaning in a request to /v1/embeddings"},
  });
}

TEST_CASE("bad OpenAI envelopes") {
  check_bad({
      {R"({"custom_id":"a","url":"/v1/completions","body":{}})", "missing_field",
       "\"method\" is missing; expected \"POST\""},
      {R"({"custom_id":"a","method":"GET","url":"/v1/completions","body":{}})",
       "unsupported_method", "\"method\" is \"GET\"; expected \"POST\""},
      {R"({"custom_id":"a","method":"POST","body":{}})", "missing_field",
       "\"url\" is missing; expected \"/v1/chat/completions\", \"/v1/completions\" or "
       "\"/v1/embeddings\""},
      {R"({"custom_id":"a","method":"POST","url":"/v1/rerank","body":{"input":"x"}})",
       "unsupported_url",
       "\"url\" is \"/v1/rerank\"; expected \"/v1/chat/completions\", \"/v1/completions\" or "
       "\"/v1/embeddings\""},
      {R"({"custom_id":"a","method":"POST","url":5,"body":{}})", "unsupported_url",
       "\"url\" is 5; expected \"/v1/chat/completions\", \"/v1/completions\" or "
       "\"/v1/embeddings\""},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions"})", "missing_field",
       "\"body\" is missing; expected an object"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":[]})", "invalid_value",
       "\"body\" is an empty array; expected an object"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{}})", "missing_field",
       "\"prompt\" is missing"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}})",
       "missing_field", "\"messages\" is missing"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions","body":{},"temperature":1})",
       "unsupported_parameter", "unknown field \"temperature\"; parameters belong inside \"body\""},
      {completion_line(R"("prompt":"x","id":"b")"), "unsupported_parameter",
       "unknown field \"id\" in \"body\"; data of your own belongs beside \"body\", or under "
       "\"metadata\""},
  });
}

}  // namespace
}  // namespace prefold
