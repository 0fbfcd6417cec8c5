// Adapters (scripts/make_lora_oracle.py): against PEFT, in both formats and on models of both, and
// against themselves however the work is batched.
#include "lora_fixture.h"
#include "oracle.h"

using namespace prefold;

namespace {

struct AdaptedModel {
  std::string name;
  std::vector<std::string> adapters;
};
const AdaptedModel kModels[] = {{"llama3", {"a", "b"}}, {"qwen2", {"a", "b"}}, {"gpt2", {"a", "b"}},
                                {"gpt_neox", {"a"}},    {"phi3", {"a", "b"}},  {"gemma2", {"a"}},
                                {"granite", {"a"}}};

RunOptions options_for(const AdaptedModel& model) {
  RunOptions options;
  options.model = "tests/data/models/" + model.name;
  options.device = DeviceChoice::kCpu;
  options.threads = 1;
  for (const std::string& adapter : model.adapters) {
    options.lora.push_back({adapter, "tests/data/lora/" + model.name + "-" + adapter});
  }
  return options;
}

void check_oracle(const AdaptedModel& model, const RunOptions& options) {
  const std::string file = "tests/data/e2e/lora_" + model.name + ".json";
  const Json oracle = read_json(file);
  check_against_oracle(options, file, oracle["tolerance"]["logprob"],
                       oracle["tolerance"]["margin"]);
}

// Prompts of the model's oracle, each by every adapter and by none, some sampled.
std::vector<Json> mixed_requests(const AdaptedModel& model) {
  std::vector<Json> lines;
  const Json oracle = read_json("tests/data/e2e/" + model.name + ".json");
  std::vector<std::string> names = model.adapters;
  names.emplace_back();
  for (const Json& test_case : oracle["cases"]) {
    for (const std::string& adapter : names) {
      for (const double temperature : {0.0, 1.0}) {
        const std::string id = test_case["name"].get<std::string>() + "/" + adapter;
        lines.push_back({{"id", id + (temperature > 0 ? "+" : "")},
                         {"prompt_token_ids", test_case["prompt_token_ids"]},
                         {"temperature", temperature},
                         {"max_tokens", 24},
                         {"ignore_eos", true},
                         {"logprobs", 2},
                         {"prompt_logprobs", 1},
                         {"return_token_ids", true}});
        if (!adapter.empty()) lines.back()["lora"] = adapter;
      }
    }
  }
  return lines;
}

void check_schedules(const AdaptedModel& model, const RunOptions& base) {
  JobFolder folder;
  std::vector<Json> lines = mixed_requests(model);
  const std::vector<std::string> expected = answered_alone(lines, base);
  for (const std::string& line : expected) REQUIRE(line.find("\"error\"") == std::string::npos);
  std::shuffle(lines.begin(), lines.end(), std::mt19937(7));
  folder.write_lines("in.jsonl", lines);
  CHECK(folder.answers(base) == expected);
  RunOptions options = base;
  options.sharing = Sharing::kLru;
  options.max_num_batched_tokens = 48;
  options.threads = 2;
  CHECK(folder.answers(options) == expected);
  options.sharing = Sharing::kNone;
  options.max_num_batched_tokens = 512;
  CHECK(folder.answers(options) == expected);
  options = base;
  options.batching = Batching::kPadded;
  options.max_num_batched_tokens = 400;
  CHECK(folder.answers(options) == expected);
  options = base;
  options.order = Order::kFile;
  options.shared_attention = false;
  options.max_num_batched_tokens = 33;
  CHECK(folder.answers(options) == expected);
  for (const std::string& isa : job_instruction_sets()) {
    options = base;
    options.cpu_isa = isa;
    CHECK(folder.answers(options) == expected);
  }
}

}  // namespace

TEST_CASE("adapters of several architectures agree with PEFT, all in one job") {
  for (const AdaptedModel& model : kModels) {
    CAPTURE(model.name);
    check_oracle(model, options_for(model));
  }
}

TEST_CASE(
    "adapters in GGUF, and on models in GGUF, agree with PEFT, and with one another to the bit") {
  for (const AdaptedModel& model : kModels) {
    CAPTURE(model.name);
    const std::string gguf_model = "tests/data/models/gguf/" + model.name + ".gguf";
    const std::string gguf_adapter = "tests/data/lora/" + model.name + "-a.gguf";
    if (!std::filesystem::exists(gguf_adapter)) continue;
    JobFolder folder;
    folder.write_lines("in.jsonl", mixed_requests(model));
    RunOptions options = options_for(model);
    const auto with_gguf_adapter = [&] {
      RunOptions changed = options;
      changed.lora[0].path = gguf_adapter;
      return changed;
    };
    const std::vector<std::string> expected = folder.answers(options);
    CHECK(folder.answers(with_gguf_adapter()) == expected);

    options.model = gguf_model;
    check_oracle(model, options);
    const std::vector<std::string> expected_of_gguf = folder.answers(options);
    CHECK(folder.answers(with_gguf_adapter()) == expected_of_gguf);
  }
}

TEST_CASE("a quantised adapter changes answers as the exact one does, nearly") {
  RunOptions options = options_for({"llama3", {"a", "b"}});
  options.lora[0].path = "tests/data/lora/llama3-a-q8.gguf";
  check_against_oracle(options, "tests/data/e2e/lora_llama3.json", 0.1, 0.5);
}

TEST_CASE("answers of many adapters in one job are those of each adapter's own") {
  for (const AdaptedModel& model : kModels) {
    CAPTURE(model.name);
    check_schedules(model, options_for(model));
  }
}

TEST_CASE("so they are with integer products and an int8 cache") {
  for (const AdaptedModel& model : {kModels[0], kModels[4]}) {
    CAPTURE(model.name);
    RunOptions options = options_for(model);
    options.model = "tests/data/models/gguf/" + model.name + ".gguf";
    options.precision = Precision::kFast;
    options.kv_type = KvType::kInt8;
    check_schedules(model, options);
  }
}

TEST_CASE("prompts of one adapter share their prefixes, those of different ones share nothing") {
  const AdaptedModel& model = kModels[0];
  const Json oracle = read_json("tests/data/e2e/llama3.json");
  std::vector<Json> lines;
  int n = 0;
  for (const char* adapter : {"", "a", "b"}) {
    for (const Json& test_case : oracle["cases"]) {
      if (!test_case["name"].get<std::string>().starts_with("shared")) continue;
      lines.push_back({{"id", n++},
                       {"prompt_token_ids", test_case["prompt_token_ids"]},
                       {"max_tokens", 2},
                       {"temperature", 0}});
      if (*adapter != '\0') lines.back()["lora"] = adapter;
    }
  }
  REQUIRE(lines.size() == 6);  // 110 and 140 tokens, of which the first 100 are the same
  JobFolder folder;
  folder.write_lines("in.jsonl", lines);
  RunMetrics metrics;
  const std::vector<std::string> expected = folder.answers(options_for(model), &metrics);
  CHECK(metrics.tokens.prompt == 3 * 250);
  CHECK(metrics.tokens.prefill_ideal == 3 * 150);
  CHECK(metrics.tokens.prefill_computed == 3 * 150);
  RunOptions options = options_for(model);
  options.sharing = Sharing::kLru;
  options.max_num_batched_tokens = 64;
  CHECK(folder.answers(options, &metrics) == expected);
  CHECK(metrics.tokens.prefill_computed >= 3 * 150);  // whole blocks are found again
  CHECK(metrics.tokens.prefill_computed < 3 * 250);
}

TEST_CASE("a line names its adapter as lora or as model") {
  JobFolder folder;
  const auto line = [](const char* id, const Json& more) {
    Json made = {{"id", id}, {"prompt", "What"}, {"max_tokens", 3}, {"temperature", 0}};
    made.update(more);
    return made;
  };
  folder.write_lines(
      "in.jsonl",
      {line("base", {{"model", "whatever"}}),
       line("lora", {{"lora", "a"}}),
       line("model", {{"model", "a"}}),
       line("both", {{"model", "a"}, {"lora", "a"}}),
       line("other", {{"model", "whatever"}, {"lora", "b"}}),
       line("none", {{"lora", "c"}}),
       line("two", {{"model", "a"}, {"lora", "b"}}),
       line("null", {{"lora", nullptr}}),
       {{"custom_id", "batch"},
        {"method", "POST"},
        {"url", "/v1/completions"},
        {"body", {{"model", "a"}, {"prompt", "What"}, {"max_tokens", 3}, {"temperature", 0}}}}});
  std::map<std::string, Json> answers;
  for (const std::string& text : folder.answers(options_for(kModels[0]))) {
    const Json answer = Json::parse(text);
    answers[answer.contains("id") && answer["id"] != nullptr && !answer.contains("custom_id")
                ? answer["id"]
                : answer["custom_id"]] = answer;
  }
  const auto text = [&](const char* id) { return answers.at(id).at("text").get<std::string>(); };
  CHECK(text("lora") != text("base"));
  CHECK(text("model") == text("lora"));
  CHECK(text("both") == text("lora"));
  CHECK(text("other") != text("lora"));
  CHECK(text("null") == text("base"));
  CHECK(answers.at("batch")["response"]["body"]["choices"][0]["text"] == text("lora"));
  CHECK(answers.at("none")["error"]["code"] == "model_not_found");
  CHECK(answers.at("none")["error"]["message"].get<std::string>().find("are a, b") !=
        std::string::npos);
  CHECK(answers.at("two")["error"]["code"] == "invalid_value");
}

TEST_CASE("embeddings go through adapters too") {
  const AdaptedModel& model = kModels[1];
  JobFolder folder;
  std::vector<Json> lines;
  for (const char* adapter : {"", "a", "b"}) {
    Json body = {{"model", "m"}, {"input", {"one text", "one more text"}}};
    if (*adapter != '\0') body["lora"] = adapter;
    lines.push_back({{"custom_id", std::string("e") + adapter},
                     {"method", "POST"},
                     {"url", "/v1/embeddings"},
                     {"body", body}});
  }
  folder.write_lines("in.jsonl", lines);
  for (const Pooling pooling : {Pooling::kLast, Pooling::kMean}) {
    RunOptions options = options_for(model);
    options.pooling = pooling;
    std::map<std::string, Json> data;
    for (const std::string& text : folder.answers(options)) {
      const Json answer = Json::parse(text);
      data[answer["custom_id"]] = answer["response"]["body"]["data"];
    }
    REQUIRE(data.size() == 3);
    CHECK((data["e"] != data["ea"] && data["ea"] != data["eb"] && data["e"] != data["eb"]));
    for (const Json& line : lines) {
      JobFolder alone;
      alone.write_lines("in.jsonl", {line});
      const Json answer = Json::parse(alone.answers(options).at(0));
      CHECK((answer["response"]["body"]["data"] == data[answer["custom_id"]]));
    }
  }
}

TEST_CASE("adapters of one name, or of the model's, and adapters of another model end the run") {
  JobFolder folder;
  folder.write_lines("in.jsonl", {{{"id", 1}, {"prompt", "What"}}});
  const auto message = [&](const std::vector<LoraOption>& lora) -> std::string {
    RunOptions options = options_for(kModels[0]);
    options.lora = lora;
    try {
      folder.answers(options);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  };
  const std::string a = "tests/data/lora/llama3-a";
  CHECK(message({{"x", a}}).empty());
  CHECK(message({{"x", a}, {"x", a}}).find("another adapter of that name") != std::string::npos);
  CHECK(message({{"llama3", a}}).find("name of the model itself") != std::string::npos);
  CHECK(message({{"x", "tests/data/lora/gpt2-a"}}).find("has no place in a llama model") !=
        std::string::npos);
  CHECK(message({{"x", "tests/data/lora/gpt2-a.gguf"}}).find("of architecture \"gpt2\"") !=
        std::string::npos);
  CHECK(message({{"x", "tests/data/lora/none"}}).find("tests/data/lora/none") != std::string::npos);
}
