#include "io/request_reader.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "io/test_files.h"

namespace prefold {
namespace {

RequestOrError read(std::string_view text, const SamplingParams& defaults = {}) {
  return read_request({{"prompts.jsonl", 118}, text, false, 1000}, defaults);
}

Request good(std::string_view text, const SamplingParams& defaults = {}) {
  RequestOrError result = read(text, defaults);
  if (const auto* error = std::get_if<LineError>(&result)) FAIL(error->failure.message);
  return std::get<Request>(std::move(result));
}

std::string chat_line(const std::string& body_members, const std::string& id = "a") {
  return "{\"custom_id\":\"" + id +
         "\",\"method\":\"POST\",\"url\":\"/v1/chat/"
         "completions\",\"body\":{\"messages\":[{\"role\":"
         "\"user\",\"content\":\"hi\"}]" +
         body_members + "}}";
}

std::string completion_line(const std::string& body_members) {
  return "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{" +
         body_members + "}}";
}

TEST_CASE("a short line: prompt, id and every parameter") {
  const Request request = good(R"({"id":"q-1","prompt":"Hi \ud83d\ude00\n\u0000","max_tokens":16,
    "min_tokens":2,"temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,"seed":7,"n":3,"best_of":3,
    "presence_penalty":-2,"frequency_penalty":2,"repetition_penalty":1.25,
    "logit_bias":{"50":-100,"7":1.5},"stop":["a","bc"],"stop_token_ids":[3,4],"ignore_eos":true,
    "skip_special_tokens":false,"include_stop_str_in_output":true,"logprobs":2,"prompt_logprobs":0,
    "echo":true,"return_token_ids":true,"add_special_tokens":false,"model":"m",
    "metadata":{"z":1,"a":[null,18446744073709551615]}})");
  CHECK(request.id == "q-1");
  CHECK_FALSE(request.id_is_integer);
  CHECK(request.kind == LineKind::kShort);
  CHECK(std::get<std::string>(request.prompt) == std::string("Hi \xf0\x9f\x98\x80\n\0", 9));
  SamplingParams expected;
  expected.max_tokens = 16;
  expected.min_tokens = 2;
  expected.temperature = 0.5f;
  expected.top_p = 0.9f;
  expected.top_k = 40;
  expected.min_p = 0.05f;
  expected.seed = 7;
  expected.n = 3;
  expected.presence_penalty = -2;
  expected.frequency_penalty = 2;
  expected.repetition_penalty = 1.25f;
  expected.logit_bias = {{7, 1.5f}, {50, -100.0f}};
  expected.stop = {"a", "bc"};
  expected.stop_token_ids = {3, 4};
  expected.ignore_eos = true;
  expected.skip_special_tokens = false;
  expected.include_stop_str_in_output = true;
  expected.logprobs = 2;
  expected.prompt_logprobs = 0;
  expected.echo = true;
  expected.return_token_ids = true;
  CHECK(request.params == expected);
  CHECK_FALSE(request.add_special_tokens);
  CHECK(request.model == "m");
  CHECK(request.metadata.dump() == R"({"z":1,"a":[null,18446744073709551615]})");
}

TEST_CASE("what a line leaves out or sets to null comes from the defaults") {
  SamplingParams defaults;
  defaults.temperature = 0.25f;
  defaults.max_tokens = 9;
  defaults.stop = {"END"};
  defaults.logprobs = 1;
  CHECK(good(R"({"prompt":"x","temperature":null,"stop":null,"seed":null})", defaults).params ==
        defaults);
  const Request request =
      good(R"({"prompt":"x","temperature":0,"stop":[],"logprobs":false})", defaults);
  CHECK(request.params.temperature == 0.0f);
  CHECK(request.params.stop.empty());
  CHECK_FALSE(request.params.logprobs.has_value());
  CHECK(good(R"({"prompt":"x","top_logprobs":5})", defaults).params.logprobs == 5);
}

TEST_CASE("ids are strings or integers; a line without one is named by file and line") {
  CHECK(good(R"({"id":42,"prompt":""})").id == "42");
  CHECK(good(R"({"id":42,"prompt":""})").id_is_integer);
  CHECK(good(R"({"id":-7,"prompt":""})").id == "-7");
  CHECK(good(R"({"id":18446744073709551615,"prompt":""})").id == "18446744073709551615");
  CHECK(good(R"({"prompt":""})").id == "prompts.jsonl:118");
  CHECK(good(R"({"id":null,"prompt":""})").id == "prompts.jsonl:118");
  CHECK_FALSE(good(R"({"prompt":""})").id_is_integer);
  const std::string longest(512, 'x');
  CHECK(good("{\"id\":\"" + longest + "\",\"prompt\":\"\"}").id == longest);
}

TEST_CASE("prompts are text, token ids or messages") {
  CHECK(std::get<std::vector<int32_t>>(good(R"({"prompt":[1,0,2147483647]})").prompt) ==
        std::vector<int32_t>{1, 0, 2147483647});
  CHECK(std::get<std::vector<int32_t>>(good(R"({"prompt_token_ids":[5]})").prompt) ==
        std::vector<int32_t>{5});
  const Request request = good(
      R"({"messages":[{"role":"system","content":null},{"role":"user","content":[{"type":"text",
      "text":"hi"}],"name":"bob"},{"role":"assistant","tool_calls":[]}],"tools":[{"type":"function"}],
      "tool_choice":"auto","chat_template_kwargs":{"enable_thinking":false},
      "add_generation_prompt":false})");
  const auto& chat = std::get<ChatMessages>(request.prompt);
  CHECK(
      chat.messages.dump() ==
      R"([{"role":"system","content":null},{"role":"user","content":[{"type":"text","text":"hi"}],)"
      R"("name":"bob"},{"role":"assistant","tool_calls":[]}])");
  CHECK(chat.tools.dump() == R"([{"type":"function"}])");
  CHECK(chat.template_kwargs.dump() == R"({"enable_thinking":false})");
  CHECK_FALSE(chat.add_generation_prompt);
  CHECK_FALSE(request.add_special_tokens);
  CHECK(good(R"({"prompt":"x"})").add_special_tokens);
  CHECK(good(R"({"prompt":"x","messages":null,"prompt_token_ids":null})").kind == LineKind::kShort);
}

TEST_CASE("OpenAI Batch lines of both urls") {
  const Request chat = good(chat_line(
      R"(,"model":"gpt-x","max_completion_tokens":8,"logprobs":true,"top_logprobs":3,"metadata":{"k":"v"})"));
  CHECK(chat.kind == LineKind::kOpenAiChat);
  CHECK(chat.id == "a");
  CHECK(chat.model == "gpt-x");
  CHECK(chat.params.max_tokens == 8);
  CHECK(chat.params.logprobs == 3);
  CHECK(chat.metadata.dump() == R"({"k":"v"})");
  CHECK(std::get<ChatMessages>(chat.prompt).tools.is_null());
  CHECK(std::get<ChatMessages>(chat.prompt).template_kwargs.is_object());
  CHECK(good(chat_line(",\"logprobs\":true")).params.logprobs == 0);
  CHECK_FALSE(
      good(chat_line(",\"logprobs\":false,\"top_logprobs\":0")).params.logprobs.has_value());

  const Request completion = good(completion_line(R"("prompt":"x","logprobs":20,"echo":true)"));
  CHECK(completion.kind == LineKind::kOpenAiCompletion);
  CHECK(completion.params.logprobs == 20);
  CHECK(completion.params.echo);
}

TEST_CASE("parameters that cannot change the answer, or say that they do not, are accepted") {
  CHECK(good(chat_line(R"(,"user":"u","store":true,"service_tier":"auto","stream":false,
    "stream_options":null,"response_format":{"type":"text"},"modalities":["text"],"audio":null,
    "functions":[],"parallel_tool_calls":true,"continue_final_message":false,"priority":3,
    "safety_identifier":"s","prompt_cache_key":"k","length_penalty":1.0,"tool_choice":"none")"))
            .params == SamplingParams{});
  CHECK(good(completion_line(R"("prompt":"x","suffix":"","best_of":1,"use_beam_search":false)"))
            .params == SamplingParams{});
}

TEST_CASE("numbers at the edges of their ranges") {
  CHECK(good(R"({"prompt":"x","max_tokens":2147483647})").params.max_tokens == 2147483647);
  CHECK(good(R"({"prompt":"x","max_tokens":64.0})").params.max_tokens == 64);
  CHECK(good(R"({"prompt":"x","max_tokens":1e3})").params.max_tokens == 1000);
  CHECK(good(R"({"prompt":"x","top_k":-1})").params.top_k == 0);
  CHECK(good(R"({"prompt":"x","temperature":100})").params.temperature == 100.0f);
  CHECK(good(R"({"prompt":"x","top_p":1e-300})").params.top_p > 0.0f);
  CHECK(good(R"({"prompt":"x","seed":-1})").params.seed == 0xffffffffffffffffu);
  CHECK(good(R"({"prompt":"x","seed":-9223372036854775808})").params.seed == 0x8000000000000000u);
  CHECK(good(R"({"prompt":"x","seed":9223372036854775807})").params.seed == 0x7fffffffffffffffu);
  CHECK(good(R"({"prompt":"x","max_tokens":5,"max_completion_tokens":5})").params.max_tokens == 5);
}

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

TEST_CASE("an object with very many keys takes linear time") {
  std::string text = "{\"prompt\":\"x\",\"metadata\":{";
  for (int i = 0; i < 300'000; ++i) text += fmt::format("{}\"k{}\":{}", i > 0 ? "," : "", i, i);
  CHECK(good(text + "}}").metadata.size() == 300'000);
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
          "\"max_tokens\" is -5; expected an integer from 1 to 2147483647"),
      bad(R"("max_tokens":0)", "invalid_value",
          "\"max_tokens\" is 0; expected an integer from 1 to 2147483647"),
      bad(R"("max_tokens":1.5)", "invalid_value",
          "\"max_tokens\" is 1.5; expected an integer from 1 to 2147483647"),
      bad(R"("max_tokens":"16")", "invalid_value",
          "\"max_tokens\" is \"16\"; expected an integer from 1 to 2147483647"),
      bad(R"("max_tokens":true)", "invalid_value",
          "\"max_tokens\" is true; expected an integer from 1 to 2147483647"),
      bad(R"("max_tokens":18446744073709551615)", "invalid_value",
          "\"max_tokens\" is 18446744073709551615; expected an integer from 1 to 2147483647"),
      bad(R"("max_completion_tokens":[])", "invalid_value",
          "\"max_completion_tokens\" is an empty array; expected an integer from 1 to 2147483647"),
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
      bad(R"("temprature":0)", "unsupported_parameter",
          "unknown field \"temprature\"; did you mean \"temperature\"?"),
      bad(R"("Stop":"x")", "unsupported_parameter",
          "unknown field \"Stop\"; did you mean \"stop\"?"),
      bad(R"("category":"x")", "unsupported_parameter",
          "unknown field \"category\"; data of your own belongs under \"metadata\""),
      bad("\"" + std::string(1000, 'k') + "\":1", "unsupported_parameter",
          "unknown field \"" + std::string(60, 'k') +
              "...\"; data of your own belongs under \"metadata\""),
  });
}

TEST_CASE("bad OpenAI envelopes") {
  check_bad({
      {R"({"custom_id":"a","url":"/v1/completions","body":{}})", "missing_field",
       "\"method\" is missing; expected \"POST\""},
      {R"({"custom_id":"a","method":"GET","url":"/v1/completions","body":{}})",
       "unsupported_method", "\"method\" is \"GET\"; expected \"POST\""},
      {R"({"custom_id":"a","method":"POST","body":{}})", "missing_field",
       "\"url\" is missing; expected \"/v1/chat/completions\" or \"/v1/completions\""},
      {R"({"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"input":"x"}})",
       "unsupported_url",
       "\"url\" is \"/v1/embeddings\"; expected \"/v1/chat/completions\" or \"/v1/completions\""},
      {R"({"custom_id":"a","method":"POST","url":5,"body":{}})", "unsupported_url",
       "\"url\" is 5; expected \"/v1/chat/completions\" or \"/v1/completions\""},
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
       "unknown field \"id\"; data of your own belongs under \"metadata\""},
  });
}

TEST_CASE("an error keeps the id and the kind of its line where they could be read") {
  const auto error = [](std::string_view text) { return std::get<LineError>(read(text)); };
  CHECK(error(R"({"id":7,"prompt":3})").id == "7");
  CHECK(error(R"({"id":7,"prompt":3})").id_is_integer);
  CHECK(error(R"({"prompt":3,"id":"late"})").id == "late");
  CHECK(error(R"({"id":"","prompt":3})").id == "prompts.jsonl:118");
  CHECK(error(R"({"prompt":)").id == "prompts.jsonl:118");
  CHECK(error(R"({"prompt":)").kind == LineKind::kShort);
  CHECK(error(R"({"custom_id":"a",)").kind == LineKind::kOpenAiChat);
  CHECK(error(R"({"custom_id":"a","url":"/v1/embeddings","method":"POST","body":{}})").id == "a");
  CHECK(error(completion_line("\"prompt\":1")).kind == LineKind::kOpenAiCompletion);
  CHECK(error(R"({"id":"a","prompt":"x","n":0})").source.line == 118);
}

// "<id>" of a request, "<id>! <code>" of an error.
std::vector<std::string> ids_of(std::vector<std::string> paths, size_t max_line_bytes = 1000) {
  RequestReader reader(std::move(paths), {}, max_line_bytes);
  std::vector<std::string> ids;
  while (std::optional<RequestOrError> read = reader.next()) {
    if (const auto* error = std::get_if<LineError>(&*read)) {
      ids.push_back(error->id + "! " + error->failure.code);
    } else {
      ids.push_back(std::get<Request>(*read).id);
    }
  }
  return ids;
}

TEST_CASE("one bad line stops nothing") {
  TempFolder folder;
  const std::string path =
      folder.write("in", "{\"prompt\":\"x\"}\n{oops\n\n{\"id\":\"" + std::string(2000, 'x') +
                             "\"}\n" + chat_line("", "b") + "\n{\"id\":\"c\",\"prompt\":\"x\"}");
  CHECK(ids_of({path}) == std::vector<std::string>{path + ":1", path + ":2! invalid_json",
                                                   path + ":4! line_too_long", "b", "c"});
}

TEST_CASE("an id counts once over all inputs, also when its first line was an error") {
  TempFolder folder;
  const std::string a = folder.write("a",
                                     "{\"id\":\"x\",\"prompt\":\"1\"}\n"
                                     "{\"id\":\"y\",\"prompt\":1}\n"
                                     "{\"id\":\"x\",\"prompt\":\"2\"}\n"
                                     "{\"id\":5,\"prompt\":\"2\"}\n");
  const std::string b = folder.write("b", "{\"id\":\"y\",\"prompt\":\"3\"}\n" + chat_line("", "x") +
                                              "\n{\"id\":\"5\",\"prompt\":\"2\"}\n");
  CHECK(ids_of({a, b}) == std::vector<std::string>{"x", "y! invalid_value", a + ":3! duplicate_id",
                                                   "5", b + ":1! duplicate_id",
                                                   b + ":2! duplicate_id", b + ":3! duplicate_id"});
  RequestReader reader({a}, {});
  reader.next();
  reader.next();
  CHECK(std::get<LineError>(*reader.next()).failure.message ==
        a + ":3: the id \"x\" stands on an earlier line; ids must differ over all inputs");
}

}  // namespace
}  // namespace prefold
