#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "io/line_problems.h"
#include "io/request_reader.h"
#include "io/result_writer.h"
#include "io/test_lines.h"

namespace prefold {
namespace {

std::string message_of(const std::string& line) {
  const RequestOrError result = read(line);
  if (std::holds_alternative<Request>(result)) return "";
  const std::string& message = std::get<LineError>(result).failure.message;
  CHECK(message.starts_with("prompts.jsonl:118: "));
  return message.substr(std::string("prompts.jsonl:118: ").size());
}

Request good(const std::string& line) {
  CAPTURE(line);
  RequestOrError result = read(line);
  REQUIRE(std::holds_alternative<Request>(result));
  return std::get<Request>(std::move(result));
}

std::string short_line(const std::string& members) { return R"({"prompt":"x",)" + members + "}"; }

std::string openai_line(const std::string& beside, const std::string& in_body = "") {
  return R"({"custom_id":"a","method":"POST","url":"/v1/completions",)" + beside +
         R"("body":{"prompt":"x")" + in_body + "}}";
}

TEST_CASE("unknown fields of a short line join its metadata, in their order") {
  const Request request =
      good(R"({"label":{"z":1},"prompt":"x","category":null,"metadata":{"b":2,"a":1},"step":3})");
  CHECK(request.metadata.dump() == R"({"b":2,"a":1,"label":{"z":1},"category":null,"step":3})");
  CHECK(request.n_extra_fields == 3);
  CHECK(good(short_line(R"("label":1)")).metadata.dump() == R"({"label":1})");
  CHECK(good(short_line(R"("label":1,"metadata":null)")).metadata.dump() == R"({"label":1})");
  CHECK(good(short_line(R"("metadata":"text")")).metadata == "text");
  CHECK(good(short_line(R"("user":"u")")).metadata.is_null());  // a parameter without effect
  CHECK(good(R"({"messages":[{"role":"user","content":"x"}],"label":1})").metadata["label"] == 1);
}

TEST_CASE("names that people give to columns are no misspelt parameters") {
  for (const char* name : {"label",       "category",       "text",       "question",
                           "answer",      "answers",        "context",    "source",
                           "idx",         "index",          "name",       "title",
                           "topic",       "tags",           "type",       "role",
                           "lang",        "language",       "date",       "split",
                           "score",       "weight",         "task",       "dataset",
                           "domain",      "difficulty",     "choices",    "gold",
                           "target",      "output",         "input",      "inputs",
                           "instruction", "document",       "doc_id",     "message",
                           "prompts",     "step",           "top",        "speed",
                           "num_tokens",  "n_tokens",       "length",     "url",
                           "body",        "method",         "dimensions", "response",
                           "model_name",  "user_id",        "ID",         "_id",
                           "seq",         "count",          "time",       "timestamp",
                           "format",      "format_version", "notes",      "k",
                           "p",           "image",          "location"}) {
    CAPTURE(name);
    CHECK(message_of(short_line("\"" + std::string(name) + "\":\"v\"")).empty());
  }
}

TEST_CASE("a name that was meant as a parameter is refused with that parameter") {
  const auto suggests = [](const std::string& name, const std::string& meant) {
    CHECK(message_of(short_line("\"" + name + "\":1")) ==
          "unknown field \"" + name + "\"; did you mean \"" + meant +
              "\"? Data of that name belongs under \"metadata\"");
  };
  suggests("temprature", "temperature");
  suggests("Stop", "stop");
  suggests("maxTokens", "max_tokens");
  suggests("max_new_tokens", "max_tokens");
  suggests("top-p", "top_p");
  suggests("repeat_penalty", "repetition_penalty");
  suggests("num_return_sequences", "n");
  suggests("system_prompt", "messages");
  suggests("respones_format", "response_format");
  suggests("log_probs", "logprobs");
  const std::string long_name(1000, 'k');
  CHECK(good(short_line("\"" + long_name + "\":1")).metadata[long_name] == 1);
}

TEST_CASE("an object of parameters would have no effect and is refused; other objects are not") {
  CHECK(message_of(short_line(R"("sampling_params":{"temperature":0})")) ==
        "unknown field \"sampling_params\": \"temperature\" would have no effect in it; "
        "parameters stand beside the prompt");
  CHECK(message_of(openai_line(R"("extra_body":{"top_k":5},)")) ==
        "unknown field \"extra_body\": \"top_k\" would have no effect in it; parameters stand "
        "beside the prompt");
  CHECK(message_of(short_line(R"("parameters":{"max_new_tokens":5})")) != "");
  CHECK(message_of(short_line(R"("options":["a","b"],"parameters":{"city":"x"})")).empty());
  CHECK(message_of(short_line(R"("config":{"temperature":0})")).empty());
}

TEST_CASE("a missing prompt names the field that looks like one") {
  CHECK(message_of(R"({"label":1,"Prompt":"x"})") ==
        "no prompt, but an unknown field \"Prompt\"; did you mean \"prompt\"?");
  CHECK(message_of(R"({"message":[]})") ==
        "no prompt, but an unknown field \"message\"; did you mean \"messages\"?");
  CHECK(message_of(R"({"text":"x"})") ==
        "no prompt; expected \"prompt\", \"messages\" or \"prompt_token_ids\"");
}

TEST_CASE("metadata that the fields cannot join is an error") {
  CHECK(message_of(short_line(R"("metadata":"x","label":1)")) ==
        "\"metadata\" is \"x\"; expected an object, which the field \"label\" can join");
  CHECK(message_of(short_line(R"("metadata":{"a":1,"label":1},"label":1)")) ==
        "\"label\" stands both in \"metadata\" and beside it; the result has one place for them");
}

TEST_CASE("what stands beside an OpenAI line's body comes back beside the response") {
  const Request request =
      good(openai_line(R"("label":"a","metadata":{"k":1},)", R"(,"metadata":{"in":"body"})"));
  CHECK(request.beside_body.dump() == R"({"k":1,"label":"a"})");
  CHECK(request.metadata.dump() == R"({"in":"body"})");
  CHECK(request.n_extra_fields == 1);
  Result result;
  result.choices.resize(1);
  const auto line = nlohmann::ordered_json::parse(format_result(request, result, {}));
  CHECK(line["metadata"].dump() == R"({"k":1,"label":"a"})");
  CHECK(line["response"]["body"]["metadata"].dump() == R"({"in":"body"})");
  result.failure = RequestFailure{"prompt_too_long", "too long"};
  const auto failed = nlohmann::ordered_json::parse(format_result(request, result, {}));
  CHECK(failed["metadata"].dump() == R"({"k":1,"label":"a"})");
}

TEST_CASE("beside a body there are no parameters, and in it nothing else") {
  CHECK(message_of(openai_line(R"("temperature":1,)")) ==
        "unknown field \"temperature\"; parameters belong inside \"body\"");
  CHECK(message_of(openai_line(R"("stream":false,)")) ==
        "unknown field \"stream\"; parameters belong inside \"body\"");
  CHECK(message_of(openai_line(R"("customId":"x",)")) ==
        "unknown field \"customId\"; did you mean \"custom_id\"? Data of that name belongs under "
        "\"metadata\"");
  CHECK(message_of(openai_line("", R"(,"label":1)")) ==
        "unknown field \"label\" in \"body\"; data of your own belongs beside \"body\", or under "
        "\"metadata\"");
  CHECK(message_of(openai_line("", R"(,"temprature":1)")) ==
        "unknown field \"temprature\"; did you mean \"temperature\"?");
}

TEST_CASE("a short line may have columns that are called url, method or body") {
  const Request request =
      good(short_line(R"("url":"https://a.example","method":"GET","body":"b")"));
  CHECK(request.kind == LineKind::kShort);
  CHECK(request.metadata.dump() == R"({"url":"https://a.example","method":"GET","body":"b"})");
  const auto is_openai = [](const std::string& line) {
    const RequestOrError result = read(line);
    const auto* error = std::get_if<LineError>(&result);
    return (error != nullptr ? error->kind : std::get<Request>(result).kind) != LineKind::kShort;
  };
  CHECK(is_openai(R"({"url":"/v1/completions"})"));
  CHECK(is_openai(R"({"prompt":"x","body":{"prompt":"x"}})"));
  CHECK(is_openai(R"({"prompt":"x","custom_id":"a"})"));
}

TEST_CASE("all problems of a line are found, and its metadata is kept") {
  const RequestOrError result =
      read(R"({"id":"","label":1,"temprature":0,"n":0,"prompt":5,"top_logprobs":3,"min_p":"x"})");
  const auto& error = std::get<LineError>(result);
  CHECK(error.failure.code == "invalid_id");
  std::vector<std::string> further;
  for (const RequestFailure& failure : error.further) further.push_back(failure.message);
  CHECK(further ==
        std::vector<std::string>{
            "prompts.jsonl:118: unknown field \"temprature\"; did you mean \"temperature\"? Data "
            "of that name belongs under \"metadata\"",
            "prompts.jsonl:118: \"n\" is 0; expected an integer from 1 to 128",
            "prompts.jsonl:118: \"prompt\" is 5; expected a string or an array of token ids",
            "prompts.jsonl:118: \"min_p\" is \"x\"; expected a number from 0 to 1"});
  CHECK(error.metadata.dump() == R"({"label":1})");
  const auto line = nlohmann::ordered_json::parse(format_error(error));
  CHECK(line["metadata"].dump() == R"({"label":1})");

  const RequestOrError both = read(openai_line(R"("label":1,)", R"(,"n":0)"));
  CHECK(std::get<LineError>(both).metadata.dump() == R"({"label":1})");
}

TEST_CASE("a line with very many unknown fields takes linear time, one with many bad ones stops") {
  std::string unknown = R"({"prompt":"x")";
  for (int i = 0; i < 200'000; ++i) unknown += ",\"field" + std::to_string(i) + "\":1";
  CHECK(good(unknown + "}").metadata.size() == 200'000);
  std::string bad = R"({"prompt":"x")";
  for (size_t i = 0; i < 100; ++i) bad += ",\"Seed" + std::string(i, '_') + "\":1";
  const RequestOrError result = read(bad + "}");
  CHECK(std::get<LineError>(result).further.size() + 1 == LineProblems::kMost);
}

}  // namespace
}  // namespace prefold
