// Whole answers against vLLM's OpenAI server (scripts/make_serving_oracle.py): what is asked in one
// body and answered in one body, save where docs/formats.md says that prefold differs.
#include <map>
#include <set>
#include <string>

#include "oracle.h"

using namespace prefold;

namespace {

constexpr double kTolerance = 2e-4;  // of log-probabilities: f32 summed in another order

bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<int>(c) > 0; });
}

// Part of a character: OpenAI's spelling here, what has become whole so far (or nothing) there.
bool is_split_character(const std::string& token) { return token.starts_with("bytes:"); }

// vLLM leaves out what is no whole character at the text's end.
std::string without_split_end(std::string text) {
  while (text.ends_with("\uFFFD")) text.resize(text.size() - 3);
  return text;
}

void check_value(const Json& ours, const Json& theirs, const std::string& path);

void check_near(const Json& ours, const Json& theirs) {
  REQUIRE(ours.is_number());
  REQUIRE(theirs.is_number());
  CHECK(std::abs(ours.get<double>() - theirs.get<double>()) <= kTolerance);
}

// {"<spelling>": logprob}. A spelling that only one has is of no whole character.
void check_top(const Json& ours, const Json& theirs) {
  for (const auto& [token, logprob] : ours.items()) {
    CAPTURE(token);
    if (is_split_character(token)) continue;
    REQUIRE(theirs.contains(token));
    check_near(logprob, theirs[token]);
  }
  for (const auto& [token, logprob] : theirs.items()) {
    if (!token.empty() && is_ascii(token)) CHECK_MESSAGE(ours.contains(token), token);
  }
}

void check_completion_logprobs(const Json& ours, const Json& theirs) {
  CHECK(ours.size() == theirs.size());
  const size_t n_tokens = theirs["tokens"].size();
  for (const auto& [name, values] : ours.items()) {
    CAPTURE(name);
    REQUIRE(theirs.contains(name));
    REQUIRE(values.size() == n_tokens);
    REQUIRE(theirs[name].size() == n_tokens);
  }
  bool same_offsets = true;
  for (size_t i = 0; i < n_tokens; ++i) {
    CAPTURE(i);
    const std::string token = ours["tokens"][i], their_token = theirs["tokens"][i];
    if (same_offsets) CHECK(ours["text_offset"][i] == theirs["text_offset"][i]);
    if (is_split_character(token)) {
      CHECK((their_token.empty() || !is_ascii(their_token)));
      same_offsets = false;
    } else {
      CHECK(token == their_token);
    }
    const Json& logprob = ours["token_logprobs"][i];
    REQUIRE(logprob.is_null() == theirs["token_logprobs"][i].is_null());
    REQUIRE(ours["top_logprobs"][i].is_null() == logprob.is_null());
    REQUIRE(theirs["top_logprobs"][i].is_null() == logprob.is_null());
    if (logprob.is_null()) continue;
    check_near(logprob, theirs["token_logprobs"][i]);
    check_top(ours["top_logprobs"][i], theirs["top_logprobs"][i]);
  }
}

// {"<id>": {"logprob", "rank", "decoded_token"}}
void check_prompt_logprobs(const Json& ours, const Json& theirs, int32_t n_top) {
  REQUIRE(ours.size() == theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    CAPTURE(i);
    REQUIRE(ours[i].is_null() == theirs[i].is_null());
    if (ours[i].is_null()) continue;
    CHECK(ours[i].size() == theirs[i].size());
    for (const auto& [id, entry] : ours[i].items()) {
      CAPTURE(id);
      REQUIRE(theirs[i].contains(id));
      const Json& wanted = theirs[i][id];
      check_near(entry["logprob"], wanted["logprob"]);
      const int32_t rank = wanted["rank"];
      if (rank <= n_top) {
        CHECK(entry["rank"] == rank);
      } else {
        CHECK(entry["rank"].is_null());
      }
      const std::string token = entry["decoded_token"];
      if (token.find("\uFFFD") == std::string::npos) CHECK(token == wanted["decoded_token"]);
    }
  }
}

void check_chat_token(const Json& ours, const Json& theirs) {
  check_near(ours["logprob"], theirs["logprob"]);
  const std::string token = ours["token"];
  if (token.find("\uFFFD") != std::string::npos) return;
  CHECK(token == theirs["token"]);
  CHECK(ours["bytes"] == theirs["bytes"]);
}

void check_chat_logprobs(const Json& ours, const Json& theirs) {
  REQUIRE(ours["content"].size() == theirs["content"].size());
  for (size_t i = 0; i < ours["content"].size(); ++i) {
    CAPTURE(i);
    const Json &token = ours["content"][i], &wanted = theirs["content"][i];
    check_chat_token(token, wanted);
    REQUIRE(token["top_logprobs"].size() == wanted["top_logprobs"].size());
    // vLLM puts the chosen token first, also where that leaves no room for one of the top ones.
    std::vector<Json> top = {
        {{"token", token["token"]}, {"logprob", token["logprob"]}, {"bytes", token["bytes"]}}};
    for (const Json& other : token["top_logprobs"]) {
      if (other != top.front()) top.push_back(other);
    }
    for (size_t k = 0; k < token["top_logprobs"].size(); ++k) {
      check_chat_token(top[k], wanted["top_logprobs"][k]);
    }
  }
}

void check_object(const Json& ours, const Json& theirs, const std::string& path) {
  std::set<std::string> names;
  for (const Json* object : {&ours, &theirs}) {
    for (const auto& [name, value] : object->items()) {
      if (!value.is_null()) names.insert(name);
    }
  }
  for (const std::string& name : names) {
    CAPTURE(path);
    REQUIRE_MESSAGE(ours.contains(name), name);
    REQUIRE_MESSAGE(theirs.contains(name), name);
    check_value(ours[name], theirs[name], path + "." + name);
  }
}

void check_value(const Json& ours, const Json& theirs, const std::string& path) {
  CAPTURE(path);
  if (ours.is_object() && theirs.is_object()) {
    check_object(ours, theirs, path);
  } else if (ours.is_array() && theirs.is_array()) {
    REQUIRE(ours.size() == theirs.size());
    for (size_t i = 0; i < ours.size(); ++i) check_value(ours[i], theirs[i], path + "[]");
  } else if (path.ends_with(".text") || path.ends_with(".content")) {
    CHECK(without_split_end(ours) == without_split_end(theirs));
  } else {
    CHECK(ours == theirs);
  }
}

Json take(Json& object, const char* name) {
  if (!object.contains(name)) return nullptr;
  Json value = object[name];
  object.erase(name);
  return value;
}

void check_choice(Json ours, Json theirs, const Json& request) {
  take(theirs, "stop_reason");
  const Json logprobs = take(ours, "logprobs"), wanted = take(theirs, "logprobs");
  REQUIRE(logprobs.is_null() == wanted.is_null());
  if (logprobs.contains("content")) check_chat_logprobs(logprobs, wanted);
  if (logprobs.contains("tokens")) check_completion_logprobs(logprobs, wanted);
  // vLLM leaves the prompt out of an echo if token ids are asked for, which nobody's page says.
  const std::string prompt = request.value("prompt", Json()).is_string() ? request["prompt"] : "";
  if (request.value("echo", false) && request.value("return_token_ids", false)) {
    theirs["text"] = prompt + theirs["text"].get<std::string>();
  }
  check_value(ours, theirs, "choice");
}

void check_body(Json ours, Json theirs, const Json& request) {
  for (const char* name : {"id", "created"}) take(ours, name);
  const Json choices = take(ours, "choices"), wanted = take(theirs, "choices");
  REQUIRE(choices.size() == wanted.size());
  const int32_t n_top = request.value("prompt_logprobs", 0);
  const auto check_prompt = [&](Json& object, Json& wanted_object) {
    const Json prompt = take(object, "prompt_logprobs");
    const Json wanted_prompt = take(wanted_object, "prompt_logprobs");
    if (request.contains("prompt_logprobs")) REQUIRE(prompt.is_array());
    if (prompt.is_array()) check_prompt_logprobs(prompt, wanted_prompt, n_top);
  };
  for (size_t i = 0; i < choices.size(); ++i) {
    Json choice = choices[i], wanted_choice = wanted[i];
    if (!request.contains("messages")) check_prompt(choice, wanted_choice);
    check_choice(choice, wanted_choice, request);
  }
  if (request.contains("messages")) check_prompt(ours, theirs);
  if (request["max_tokens"] == 0) {  // a token that vLLM computes, counts, and does not show
    theirs["usage"]["total_tokens"] = theirs["usage"]["prompt_tokens"];
    theirs["usage"]["completion_tokens"] = 0;
  }
  check_value(ours, theirs, "body");
}

}  // namespace

TEST_CASE("answers to OpenAI's requests are those of vLLM's server") {
  const Json oracle = read_json("tests/data/e2e/vllm_serving.json");
  std::vector<Json> lines;
  for (const Json& test_case : oracle["cases"]) {
    const std::string name = test_case["name"];
    Json body = {{"model", "tiny"}, {"temperature", 0}};
    body.update(test_case["body"]);
    if (name.starts_with("plain_")) {
      Json bias = oracle["plain_bias"];
      bias.update(body.value("logit_bias", Json::object()));
      body["logit_bias"] = bias;
    }
    lines.push_back(
        {{"custom_id", name}, {"method", "POST"}, {"url", test_case["url"]}, {"body", body}});
  }
  JobFolder folder;
  folder.write_lines("in.jsonl", lines);
  RunOptions options;
  options.model = "tests/data/models/tiny_bpe.gguf";
  options.precision = Precision::kExact;
  std::map<std::string, Json> answers;
  for (const std::string& line : folder.answers(options)) {
    const Json answer = Json::parse(line);
    answers[answer["custom_id"]] = answer["response"];
  }
  REQUIRE(oracle["cases"].size() > 100);
  for (size_t i = 0; i < lines.size(); ++i) {
    const Json& test_case = oracle["cases"][i];
    const std::string name = test_case["name"];
    CAPTURE(name);
    const Json& answer = answers.at(name);
    INFO(answer.dump().substr(0, 600));
    REQUIRE(answer["status_code"] == test_case["status"]);
    if (test_case["status"] == 200) {
      check_body(answer["body"], test_case["answer"], lines[i]["body"]);
    }
  }
}
