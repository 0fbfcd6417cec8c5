// What a job computes: each shared token once.
#include "job_fixture.h"

using namespace prefold;

namespace {

const std::string kTinyModel = "tests/data/models/tiny_spm.gguf";

std::vector<int32_t> random_tokens(std::mt19937& random, int n) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(20 + static_cast<int32_t>(random() % 400));
  return tokens;
}

}  // namespace

TEST_CASE("100 prompts that share 1,000 tokens compute them once") {
  std::mt19937 random(5);
  const std::vector<int32_t> prefix = random_tokens(random, 1000);
  std::vector<Json> lines;
  for (int i = 0; i < 100; ++i) {
    std::vector<int32_t> prompt = prefix;
    prompt.push_back(20 + i);  // so that all part right behind the prefix
    const std::vector<int32_t> own = random_tokens(random, i % 9);
    prompt.insert(prompt.end(), own.begin(), own.end());
    lines.push_back({{"id", i},
                     {"prompt_token_ids", prompt},
                     {"max_tokens", 3},
                     {"ignore_eos", true},
                     {"temperature", 0}});
  }
  JobFolder folder;
  folder.write_lines("in.jsonl", lines);
  RunOptions options;
  options.model = kTinyModel;
  RunMetrics metrics;
  CHECK(folder.answers(options, &metrics).size() == 100);
  const int64_t n_tree = 1000 + 100 + (0 + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8) * 11 + 0;
  CHECK(metrics.tokens.prefill_ideal == n_tree);
  CHECK(metrics.tokens.prefill_computed == n_tree);
  CHECK(metrics.tokens.recomputed == 0);
  CHECK(metrics.tokens.prefill_reused == metrics.tokens.prompt - n_tree);
  CHECK(metrics.tokens.output == 300);
}

TEST_CASE("a prompt that is asked several times is computed once; greedy ones are answered once") {
  const std::vector<int32_t> prompt = {30, 31, 32, 33};
  std::vector<Json> lines;
  for (int i = 0; i < 6; ++i) {
    lines.push_back({{"id", i},
                     {"prompt_token_ids", prompt},
                     {"max_tokens", 8},
                     {"ignore_eos", true},
                     {"temperature", i < 3 ? 0.0 : 1.0}});
  }
  JobFolder folder;
  folder.write_lines("in.jsonl", lines);
  RunOptions options;
  options.model = kTinyModel;
  RunMetrics metrics;
  const std::vector<std::string> answers = folder.answers(options, &metrics);
  REQUIRE(answers.size() == 6);
  CHECK(metrics.tokens.prefill_computed == 4);
  CHECK(metrics.tokens.output == 48);
  CHECK(metrics.steps.decode_tokens() == 4 * 7);  // one greedy and three sampled sequences
  const auto text = [](const std::string& line) { return Json::parse(line)["text"]; };
  CHECK(text(answers[0]) == text(answers[1]));
  CHECK(text(answers[3]) != text(answers[4]));  // sampled by id
}

TEST_CASE("the choices of a request share its prompt, which is computed and counted once") {
  JobFolder folder;
  folder.write_lines("in.jsonl", {{{"id", "a"},
                                   {"prompt_token_ids", {30, 31, 32, 33}},
                                   {"n", 5},
                                   {"seed", 1},
                                   {"max_tokens", 8},
                                   {"ignore_eos", true}}});
  RunOptions options;
  options.model = kTinyModel;
  RunMetrics metrics;
  const std::vector<std::string> answers = folder.answers(options, &metrics);
  REQUIRE(answers.size() == 1);
  const Json answer = Json::parse(answers[0]);
  REQUIRE(answer["choices"].size() == 5);
  CHECK(answer["choices"][0]["text"] != answer["choices"][1]["text"]);
  CHECK(answer["usage"]["prompt_tokens"] == 4);
  CHECK(answer["usage"]["completion_tokens"] == 5 * 8);
  CHECK(metrics.tokens.prompt == 4);
  CHECK(metrics.tokens.prefill_computed == 4);
  CHECK(metrics.steps.decode_tokens() == 5 * 7);
}

TEST_CASE("echo and prompt_logprobs of a shared prefix come from rows that are computed once") {
  std::vector<Json> lines;
  for (int i = 0; i < 3; ++i) {
    lines.push_back({{"id", i},
                     {"prompt_token_ids", {30, 31, 32, 33, 34, 40 + i}},
                     {"max_tokens", 1},
                     {"temperature", 0},
                     {"prompt_logprobs", i}});
  }
  JobFolder folder;
  folder.write_lines("in.jsonl", lines);
  RunOptions options;
  options.model = kTinyModel;
  RunMetrics metrics;
  const std::vector<std::string> answers = folder.answers(options, &metrics);
  CHECK(metrics.tokens.prefill_computed == 8);
  for (int i = 0; i < 3; ++i) {
    const Json logprobs = Json::parse(answers[i])["prompt_logprobs"];
    REQUIRE(logprobs.size() == 6);
    CHECK(logprobs[0].is_null());
    for (int p = 1; p < 6; ++p) CHECK(logprobs[p]["top"].size() == static_cast<size_t>(i));
    // The shared tokens' values are the same ones.
    CHECK(logprobs[4]["logprob"] == Json::parse(answers[0])["prompt_logprobs"][4]["logprob"]);
  }
}

TEST_CASE("ordered output follows the input, errors included") {
  JobFolder folder;
  folder.write_lines("in.jsonl", {{{"id", "long"}, {"prompt", "Hi"}, {"max_tokens", 40}},
                                  {{"id", "bad"}, {"prompt", 5}},
                                  {{"id", "short"}, {"prompt", "Hi"}, {"max_tokens", 1}}});
  RunOptions options;
  options.model = kTinyModel;
  options.ordered = true;
  options.inputs = {folder.file("in.jsonl")};
  options.output = folder.file("out.jsonl");
  const RunOutcome outcome = run_job(options, {[](const Note&) {}, [](const ProgressCounts&) {}});
  CHECK(outcome.status == ExitStatus::kSomeFailed);
  std::ifstream in(options.output);
  std::vector<std::string> ids;
  for (std::string line; std::getline(in, line);) ids.push_back(Json::parse(line)["id"]);
  CHECK(ids == std::vector<std::string>{"long", "bad", "short"});
}
