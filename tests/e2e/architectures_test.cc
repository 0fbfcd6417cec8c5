// Small models of every architecture (scripts/make_tiny_architectures.py): against transformers,
// and against themselves however the work is batched.
#include <array>

#include "oracle.h"

using namespace prefold;

namespace {

constexpr const char* kModels[] = {"cohere",
                                   "cohere2",
                                   "cohere_heads",
                                   "gemma",
                                   "gemma2",
                                   "gemma3_text",
                                   "gpt2",
                                   "gpt_neox",
                                   "granite",
                                   "llama3",
                                   "llama_act_order",
                                   "llama_yarn",
                                   "ministral",
                                   "mistral",
                                   "olmo",
                                   "olmo2",
                                   "phi",
                                   "phi3",
                                   "phi4",
                                   "qwen2",
                                   "qwen3",
                                   "smollm3",
                                   "stablelm",
                                   "stablelm_heads",
                                   "starcoder2",
                                   "llama_dynamic",
                                   "gpt_neox_sequential",
                                   "stablelm_parallel"};

std::string oracle_of(const std::string& name) { return "tests/data/e2e/" + name + ".json"; }

RunOptions options_for(const std::string& model) {
  RunOptions options;
  options.model = "tests/data/models/" + model;
  options.device = DeviceChoice::kCpu;
  options.threads = 1;
  return options;
}

void check_oracle(const std::string& model, const std::string& name) {
  CAPTURE(name);
  const Json oracle = read_json(oracle_of(name));
  RunOptions options = options_for(model);
  if (oracle.contains("max_model_len")) options.max_model_len = oracle["max_model_len"];
  check_against_oracle(options, oracle_of(name), oracle["tolerance"]["logprob"],
                       oracle["tolerance"]["margin"]);
}

// The oracle's prompts, answered in other ways.
std::vector<Json> requests_of(const std::string& name) {
  std::vector<Json> lines;
  const Json oracle = read_json(oracle_of(name));
  for (const Json& test_case : oracle["cases"]) {
    for (const double temperature : {0.0, 1.0}) {
      lines.push_back({{"id", test_case["name"].get<std::string>() + (temperature > 0 ? "+" : "")},
                       {"prompt_token_ids", test_case["prompt_token_ids"]},
                       {"temperature", temperature},
                       {"max_tokens", 40},
                       {"ignore_eos", true},
                       {"logprobs", 2},
                       {"prompt_logprobs", 1},
                       {"return_token_ids", true}});
    }
  }
  return lines;
}

void check_schedules(const JobFolder& folder, RunOptions base) {
  const std::vector<std::string> expected = folder.answers(base);
  for (const std::string& line : expected) REQUIRE(line.find("\"error\"") == std::string::npos);
  RunOptions options = base;
  options.sharing = Sharing::kLru;
  options.max_num_batched_tokens = 48;
  options.threads = 2;
  CHECK(folder.answers(options) == expected);
  options.sharing = Sharing::kNone;
  options.max_num_batched_tokens = 512;
  CHECK(folder.answers(options) == expected);
  options = base;
  options.shared_attention = false;
  CHECK(folder.answers(options) == expected);
  for (const std::string& isa : job_instruction_sets()) {
    options = base;
    options.cpu_isa = isa;
    CHECK(folder.answers(options) == expected);
  }
}

}  // namespace

TEST_CASE("models of every architecture agree with transformers") {
  for (const char* name : kModels) check_oracle(name, name);
}

TEST_CASE("longrope takes the factors of short contexts where the run allows no longer ones") {
  check_oracle("phi3", "phi3_short");
}

TEST_CASE("models of every architecture answer the same for every schedule and instruction set") {
  for (const char* name : kModels) {
    CAPTURE(name);
    JobFolder folder;
    folder.write_lines("in.jsonl", requests_of(name));
    check_schedules(folder, options_for(name));
  }
}

TEST_CASE("so they do with integer products and an int8 cache") {
  for (const char* name :
       {"gemma2", "gemma3_text", "mistral", "phi3", "gpt2", "cohere", "llama_act_order"}) {
    CAPTURE(name);
    JobFolder folder;
    folder.write_lines("in.jsonl", requests_of(name));
    RunOptions options = options_for(name);
    options.precision = Precision::kFast;
    options.kv_type = KvType::kInt8;
    check_schedules(folder, options);
  }
}
