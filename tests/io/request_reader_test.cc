#include "io/request_reader.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "io/test_files.h"
#include "io/test_lines.h"

namespace prefold {
namespace {

Request good(std::string_view text, const SamplingParams& defaults = {}) {
  RequestOrError result = read(text, defaults);
  if (const auto* error = std::get_if<LineError>(&result)) FAIL(error->failure.message);
  return std::get<Request>(std::move(result));
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

TEST_CASE("an embedding line: one input or several, as text or token ids") {
  using Ids = std::vector<int32_t>;
  SamplingParams defaults;
  defaults.max_tokens = 9;
  const Request one = good(embedding_line(R"("input":"a b","model":"m","user":"u")"), defaults);
  CHECK(one.kind == LineKind::kOpenAiEmbedding);
  CHECK(one.embedding == EmbeddingParams{});
  CHECK(one.params.max_tokens == 0);
  CHECK(one.model == "m");
  CHECK(one.add_special_tokens);
  const auto inputs_of = [](const Request& request) {
    return std::get<EmbeddingInputs>(request.prompt).inputs;
  };
  CHECK(inputs_of(one).size() == 1);
  CHECK(std::get<std::string>(inputs_of(one)[0]) == "a b");
  const Request ids = good(embedding_line(
      R"("input":[5,6],"encoding_format":"base64","dimensions":3,"add_special_tokens":false)"));
  CHECK(inputs_of(ids).size() == 1);
  CHECK(std::get<Ids>(inputs_of(ids)[0]) == Ids{5, 6});
  CHECK(ids.embedding == EmbeddingParams{3, true});
  CHECK_FALSE(ids.add_special_tokens);
  const Request several = good(embedding_line(R"("input":["x",[7],""],"encoding_format":"float")"));
  CHECK(inputs_of(several).size() == 3);
  CHECK(std::get<Ids>(inputs_of(several)[1]) == Ids{7});
  CHECK(std::get<std::string>(inputs_of(several)[2]).empty());
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

TEST_CASE("an object with very many keys takes linear time") {
  std::string text = "{\"prompt\":\"x\",\"metadata\":{";
  for (int i = 0; i < 300'000; ++i) text += fmt::format("{}\"k{}\":{}", i > 0 ? "," : "", i, i);
  CHECK(good(text + "}}").metadata.size() == 300'000);
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
  TestFiles folder;
  const std::string path =
      folder.write("in", "{\"prompt\":\"x\"}\n{oops\n\n{\"id\":\"" + std::string(2000, 'x') +
                             "\"}\n" + chat_line("", "b") + "\n{\"id\":\"c\",\"prompt\":\"x\"}");
  CHECK(ids_of({path}) == std::vector<std::string>{path + ":1", path + ":2! invalid_json",
                                                   path + ":4! line_too_long", "b", "c"});
}

TEST_CASE("an id counts once over all inputs, also when its first line was an error") {
  TestFiles folder;
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
