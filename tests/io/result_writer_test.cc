#include "io/result_writer.h"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "io/json_text.h"
#include "io/utf8.h"

namespace prefold {
namespace {

const ResultFormat kFormat{1700000000, "tiny", false};

Request request_of(LineKind kind, const std::string& id) {
  Request request;
  request.kind = kind;
  request.id = id;
  return request;
}

Result result_of(std::vector<Choice> choices, Usage usage = {5, 2, 3}) {
  Result result;
  result.choices = std::move(choices);
  result.usage = usage;
  return result;
}

Choice choice_of(const std::string& text, FinishReason reason = FinishReason::kStop) {
  Choice choice;
  choice.text = text;
  choice.finish_reason = reason;
  return choice;
}

LineError line_error(const std::string& id, LineKind kind, const RequestFailure& failure) {
  LineError error;
  error.id = id;
  error.kind = kind;
  error.failure = failure;
  return error;
}

// "é" cut in two tokens, each with two alternatives.
Choice choice_with_logprobs() {
  Choice choice = choice_of("Hi\xc3\xa9", FinishReason::kLength);
  choice.token_ids = {10, 11, 12};
  choice.logprobs = {
      {10, -0.5f, "Hi", {{10, -0.5f, "Hi"}, {7, -1.25f, "Ho"}}},
      {11, -2.0f, "\xc3", {{8, -0.1f, "\n"}, {11, -2.0f, "\xc3"}}},
      {12, -std::numeric_limits<float>::infinity(), "\xa9", {{9, -0.0f, ""}, {6, -3.5f, "x"}}},
  };
  return choice;
}

TEST_CASE("embeddings, as decimals and in base64") {
  Request request = request_of(LineKind::kOpenAiEmbedding, "e");
  request.embedding.emplace();
  request.metadata = {{"k", 1}};
  Result result;
  result.embeddings = {{0.5f, -1e-7f, 0.0f, std::numeric_limits<float>::quiet_NaN()}, {1.0f}};
  result.usage = {7, 0, 2};
  const auto body = [&](const ResultFormat& format) {
    const auto line = nlohmann::ordered_json::parse(format_result(request, result, format));
    CHECK(line["custom_id"] == "e");
    CHECK(line["error"].is_null());
    return line["response"]["body"].dump();
  };
  CHECK(body(kFormat) ==
        R"({"object":"list","data":[{"object":"embedding","index":0,)"
        R"("embedding":[0.5,-1e-07,0,null]},{"object":"embedding","index":1,"embedding":[1]}],)"
        R"("model":"tiny","usage":{"prompt_tokens":7,"total_tokens":7},"metadata":{"k":1}})");
  request.embedding->base64 = true;
  request.metadata = nullptr;
  result.embeddings = {{1.0f}, {1.0f, -2.0f}, {1.0f, -2.0f, 3.5f}};
  CHECK(body({1, "m", true}) ==
        R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="},)"
        R"({"object":"embedding","index":1,"embedding":"AACAPwAAAMA="},)"
        R"({"object":"embedding","index":2,"embedding":"AACAPwAAAMAAAGBA"}],"model":"m",)"
        R"("usage":{"prompt_tokens":7,"total_tokens":7,)"
        R"("prompt_tokens_details":{"cached_tokens":2}}})");
}

TEST_CASE("the short form of a plain answer") {
  CHECK(format_result(request_of(LineKind::kShort, "q-1"), result_of({choice_of("Hello\n\"x\"")}),
                      kFormat) ==
        R"({"id":"q-1","text":"Hello\n\"x\"","finish_reason":"stop",)"
        R"("usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}})");
}

TEST_CASE("integer ids, metadata, several choices, and usage details") {
  Request request = request_of(LineKind::kShort, "17");
  request.id_is_integer = true;
  request.params.n = 2;
  request.metadata = nlohmann::ordered_json::parse(
      R"({"z":[1.5,18446744073709551615,null],"a":"\u00e9\u2028\ud83d\ude00"})");
  ResultFormat format = kFormat;
  format.usage_details = true;
  CHECK(format_result(request, result_of({choice_of("a"), choice_of("b", FinishReason::kLength)}),
                      format) ==
        R"({"id":17,"choices":[{"index":0,"text":"a","finish_reason":"stop"},)"
        R"({"index":1,"text":"b","finish_reason":"length"}],)"
        R"("usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,)"
        R"("prompt_tokens_details":{"cached_tokens":3}},)"
        "\"metadata\":{\"z\":[1.5,18446744073709551615,null],\"a\":\"é\u2028😀\"}}");
}

TEST_CASE("the short form with logprobs, token ids and prompt_logprobs") {
  Request request = request_of(LineKind::kShort, "q");
  request.params.logprobs = 1;
  request.params.prompt_logprobs = 0;
  request.params.return_token_ids = true;
  Result result = result_of({choice_with_logprobs()});
  result.prompt_token_ids = {1, 2};
  result.prompt_logprobs = {std::nullopt, TokenLogprob{2, -1.5f, "b", {{3, -0.5f, "c"}}}};
  CHECK(format_result(request, result, kFormat) ==
        R"({"id":"q","text":"Hié","finish_reason":"length","token_ids":[10,11,12],"logprobs":[)"
        R"({"id":10,"token":"Hi","logprob":-0.5,"top":[{"id":10,"token":"Hi","logprob":-0.5}]},)"
        "{\"id\":11,\"token\":\"\ufffd\",\"bytes\":[195],\"logprob\":-2.0,"
        R"("top":[{"id":8,"token":"\n","logprob":-0.1}]},)"
        "{\"id\":12,\"token\":\"\ufffd\",\"bytes\":[169],\"logprob\":-9999.0,"
        R"("top":[{"id":9,"token":"","logprob":-0.0}]}],)"
        R"("prompt_token_ids":[1,2],)"
        R"("prompt_logprobs":[null,{"id":2,"token":"b","logprob":-1.5,"top":[]}],)"
        R"("usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}})");
}

TEST_CASE("echo puts the prompt before the text and before the logprobs") {
  Request request = request_of(LineKind::kShort, "q");
  request.params.logprobs = 0;
  request.params.echo = true;
  Choice choice = choice_of("!");
  choice.logprobs = {{4, -0.25f, "!", {}}};
  Result result = result_of({choice});
  result.prompt_text = "ab";
  result.prompt_logprobs = {std::nullopt, TokenLogprob{2, -1.5f, "b", {}}};
  const auto json = nlohmann::json::parse(format_result(request, result, kFormat));
  CHECK(json["text"] == "ab!");
  CHECK(json["logprobs"].size() == 3);
  CHECK(json["logprobs"][0].is_null());
  CHECK(json["logprobs"][2]["token"] == "!");
  CHECK_FALSE(json.contains("prompt_logprobs"));
}

TEST_CASE("OpenAI chat results") {
  Request request = request_of(LineKind::kOpenAiChat, "job-1");
  request.model = "gpt-x";
  const std::string line = format_result(request, result_of({choice_of("Hello")}), kFormat);
  CHECK(
      line ==
      R"({"id":"batch_req_ad67b2c96acddc9a7001ba092b69d18b","custom_id":"job-1","response":{"status_code":200,)"
      R"("request_id":"req_ad67b2c96acddc9a7001ba092b69d18b","body":{"id":"chatcmpl-ad67b2c96acddc9a7001ba092b69d18b",)"
      R"("object":"chat.completion","created":1700000000,"model":"gpt-x",)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"Hello",)"
      R"("refusal":null},"logprobs":null,"finish_reason":"stop"}],)"
      R"("usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}},"error":null})");
  CHECK(line == format_result(request, result_of({choice_of("Hello")}), kFormat));
  request.id = "job-2";
  const auto other =
      nlohmann::json::parse(format_result(request, result_of({choice_of("Hello")}), kFormat));
  CHECK(other["id"] != nlohmann::json::parse(line)["id"]);
}

TEST_CASE("OpenAI chat logprobs carry bytes; vLLM's extras stand beside") {
  Request request = request_of(LineKind::kOpenAiChat, "c");
  request.params.logprobs = 1;
  request.params.prompt_logprobs = 1;
  request.params.return_token_ids = true;
  Result result = result_of({choice_with_logprobs()});
  result.prompt_token_ids = {1, 2};
  result.prompt_logprobs = {std::nullopt, TokenLogprob{2, -1.5f, "b", {{3, -0.5f, "c"}}}};
  const auto body =
      nlohmann::ordered_json::parse(format_result(request, result, kFormat))["response"]["body"];
  CHECK(body["model"] == "tiny");
  CHECK(body["choices"][0]["logprobs"].dump() ==
        R"({"content":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[)"
        R"({"token":"Hi","logprob":-0.5,"bytes":[72,105]}]},)"
        "{\"token\":\"\ufffd\",\"logprob\":-2.0,\"bytes\":[195],\"top_logprobs\":["
        R"({"token":"\n","logprob":-0.1,"bytes":[10]}]},)"
        "{\"token\":\"\ufffd\",\"logprob\":-9999.0,\"bytes\":[169],\"top_logprobs\":["
        R"({"token":"","logprob":-0.0,"bytes":[]}]}],"refusal":null})");
  CHECK(body["choices"][0]["token_ids"].dump() == "[10,11,12]");
  CHECK(body["prompt_token_ids"].dump() == "[1,2]");
  CHECK(body["prompt_logprobs"].dump() ==
        R"([null,{"2":{"logprob":-1.5,"rank":null,"decoded_token":"b"},)"
        R"("3":{"logprob":-0.5,"rank":1,"decoded_token":"c"}}])");
}

TEST_CASE("OpenAI completion logprobs: parallel lists, offsets in characters, distinct keys") {
  Request request = request_of(LineKind::kOpenAiCompletion, "c");
  request.params.logprobs = 2;
  Choice choice = choice_with_logprobs();
  choice.text += "z";
  choice.logprobs.push_back({13, -1.0f, "z", {{13, -1.0f, "z"}, {14, -2.0f, "z"}}});
  const auto body = nlohmann::ordered_json::parse(
      format_result(request, result_of({choice}), kFormat))["response"]["body"];
  CHECK(body["object"] == "text_completion");
  CHECK(body["choices"][0]["text"] == "Hi\xc3\xa9z");
  CHECK(body["choices"][0]["logprobs"].dump() ==
        R"({"text_offset":[0,2,2,3],"token_logprobs":[-0.5,-2.0,-9999.0,-1.0],)"
        R"("tokens":["Hi","bytes:\\xc3","bytes:\\xa9","z"],)"
        R"("top_logprobs":[{"Hi":-0.5,"Ho":-1.25},{"\n":-0.1,"bytes:\\xc3":-2.0},)"
        R"({"":-0.0,"x":-3.5,"bytes:\\xa9":-9999.0},{"z":-1.0}]})");
}

TEST_CASE(
    "an echoed OpenAI completion starts with the prompt's tokens, the first without logprob") {
  Request request = request_of(LineKind::kOpenAiCompletion, "c");
  request.params.logprobs = 0;
  request.params.echo = true;
  request.params.return_token_ids = true;
  Choice choice = choice_of("!");
  choice.logprobs = {{4, -0.25f, "!", {}}};
  choice.token_ids = {4};
  Result result = result_of({choice});
  result.prompt_text = "\xc3\xa4-b";
  result.prompt_token_ids = {1, 2};
  result.prompt_logprobs = {std::nullopt, TokenLogprob{2, -1.5f, "-b", {}}};
  const auto body =
      nlohmann::ordered_json::parse(format_result(request, result, kFormat))["response"]["body"];
  CHECK(body["choices"][0].dump() ==
        "{\"index\":0,\"text\":\"ä-b!\",\"logprobs\":{\"text_offset\":[0,1,3],"
        R"("token_logprobs":[null,-1.5,-0.25],"tokens":["ä","-b","!"],)"
        R"("top_logprobs":[null,{"-b":-1.5},{"!":-0.25}]},"finish_reason":"stop",)"
        R"("token_ids":[4],"prompt_token_ids":[1,2]})");
}

TEST_CASE("failures in both shapes") {
  Request request = request_of(LineKind::kShort, "q-118");
  request.metadata = {{"k", 1}};
  Result failed;
  failed.failure = RequestFailure{"prompt_too_long", "in:3: 5120 tokens; this model takes 2048"};
  CHECK(format_result(request, failed, kFormat) ==
        R"({"id":"q-118","error":{"code":"prompt_too_long",)"
        R"("message":"in:3: 5120 tokens; this model takes 2048"},"metadata":{"k":1}})");

  const LineError broken =
      line_error("in:3", LineKind::kShort, {"invalid_json", "in:3: broken \"x\" \xff"});
  CHECK(format_error(broken) ==
        "{\"id\":\"in:3\",\"error\":{\"code\":\"invalid_json\",\"message\":"
        "\"in:3: broken \\\"x\\\" \ufffd\"}}");
  LineError numbered = line_error("3", LineKind::kShort, {"invalid_value", "in:3: no"});
  numbered.id_is_integer = true;
  CHECK(format_error(numbered).starts_with(R"({"id":3,"error")"));

  const LineError error = line_error("a", LineKind::kOpenAiChat, {"unsupported_url", "in:3: no"});
  const auto json = nlohmann::ordered_json::parse(format_error(error));
  CHECK(json["custom_id"] == "a");
  CHECK(json["id"].get<std::string>().starts_with("batch_req_"));
  CHECK(json["response"]["status_code"] == 400);
  CHECK(json["response"]["body"].dump() ==
        R"({"error":{"message":"in:3: no","type":"invalid_request_error","param":null,)"
        R"("code":"unsupported_url"}})");
  CHECK(json["error"].dump() == R"({"code":"unsupported_url","message":"in:3: no"})");
  request = request_of(LineKind::kOpenAiCompletion, "a");
  failed.failure = error.failure;
  CHECK(format_result(request, failed, kFormat) == format_error(error));
}

TEST_CASE("what a line says survives the way through reader and writer") {
  const std::string line =
      R"({"id":"\u00e9\ud83d\ude00\u0000\u001f\"\\\/","prompt":"x","metadata":)"
      R"({"big":-9223372036854775808,"bigger":18446744073709551615,"f":0.1,"e":1e300,)"
      R"("s":"\u2028\u007f\ud800\udc00","b":[true,false,null,{}],"":[]}})";
  const RequestOrError read = read_request({{"in", 1}, line, false, 0}, {});
  const std::string out =
      format_result(std::get<Request>(read), result_of({choice_of("y")}), kFormat);
  const auto before = nlohmann::ordered_json::parse(line);
  const auto after = nlohmann::ordered_json::parse(out);
  CHECK(after["id"] == before["id"]);
  CHECK(after["metadata"] == before["metadata"]);
  CHECK(after["metadata"].dump() == before["metadata"].dump());
  CHECK(out.find('\n') == std::string::npos);
}

TEST_CASE("any bytes become a valid JSON string on one line") {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string bytes{static_cast<char>(a), static_cast<char>(b)};
      for (const std::string& text :
           {bytes, bytes + "\x80\x80", "\xe2" + bytes, "\xf0\x9f" + bytes}) {
        std::string out;
        append_json_string(out, text);
        const auto json = nlohmann::json::parse(out);
        REQUIRE(out.find('\n') == std::string::npos);
        REQUIRE(is_valid_utf8(out));
        if (is_valid_utf8(text)) REQUIRE(json.get<std::string>() == text);
      }
    }
  }
}

TEST_CASE("invalid UTF-8 is replaced one U+FFFD for each maximal subpart") {
  const auto written = [](std::string_view bytes) {
    std::string out;
    append_json_string(out, bytes);
    return nlohmann::json::parse(out).get<std::string>();
  };
  // Expected: Python 3, bytes.decode("utf-8", "replace").
  CHECK(written("a\xf0\x9f\x98"
                "b") == "a\ufffdb");
  CHECK(written("\xe2\x82") == "\ufffd");
  CHECK(written("\xc0\x80") == "\ufffd\ufffd");
  CHECK(written("\xed\xa0\x80") == "\ufffd\ufffd\ufffd");
  CHECK(written("\xf5\x80\x80\x80") == "\ufffd\ufffd\ufffd\ufffd");
  CHECK(written("\xf4\x90\x80\x80") == "\ufffd\ufffd\ufffd\ufffd");
}

TEST_CASE("a logprob's text reads back as the same f32") {
  const auto text = [](float value) {
    std::string out;
    append_json_logprob(out, value);
    return out;
  };
  CHECK(text(-0.1f) == "-0.1");
  CHECK(text(-1.0f) == "-1.0");
  CHECK(text(0.0f) == "0.0");
  CHECK(text(-0.0f) == "-0.0");
  CHECK(text(-1e-10f) == "-1e-10");
  CHECK(text(-9998.999f) == "-9998.999");
  CHECK(text(-12345.0f) == "-9999.0");
  CHECK(text(std::numeric_limits<float>::quiet_NaN()) == "-9999.0");
  float value = -1.2345678e-6f;
  for (int i = 0; i < 1500; ++i) {
    value *= 1.01234567f;
    REQUIRE(std::stof(text(value)) == value);
    REQUIRE(static_cast<float>(nlohmann::json::parse(text(value)).get<double>()) == value);
  }
}

}  // namespace
}  // namespace prefold
