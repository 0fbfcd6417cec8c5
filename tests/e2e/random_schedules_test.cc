// Every switch at once, chosen at random: the same answers to the byte, for each precision and type
// of keys and values (docs/architecture.md, I6).
#include <array>
#include <map>

#include "job_fixture.h"
#include "model/model_file.h"
#include "report/report.h"

using namespace prefold;

namespace {

constexpr const char* kModel = "tests/data/models/tiny_bpe.gguf";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSchedules = 40;
#else
constexpr int kSchedules = 200;
#endif

// Prefixes shared at several levels, duplicates, and every parameter that a schedule could disturb.
std::vector<Json> mixed_requests(std::mt19937& random) {
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  std::vector<Json> lines;
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < 36; ++i) {
    std::vector<int32_t> prompt;
    if (i > 0 && below(5) > 0) {
      const std::vector<int32_t>& other = prompts[below(i)];
      const bool all = below(4) == 0;
      const int n_kept = 1 + below(static_cast<int>(other.size()));
      prompt.assign(other.begin(), all ? other.end() : other.begin() + n_kept);
    }
    for (int n = below(2) ? below(6) : below(100); n > 0 || prompt.empty(); --n) {
      prompt.push_back(20 + below(230));
    }
    prompts.push_back(prompt);
    Json line = {{"id", "r" + std::to_string(i)},
                 {"prompt_token_ids", prompt},
                 {"max_tokens", below(6) == 0   ? 1
                                : below(6) == 0 ? 140 + below(40)
                                                : 1 + below(40)},
                 {"return_token_ids", true},
                 {"temperature", below(2) ? 0.0 : 0.9}};
    if (below(2)) line["logprobs"] = below(4);
    if (below(2)) line["seed"] = below(3);
    if (below(4) == 0) line["n"] = 1 + below(3);
    if (below(4) == 0) line["prompt_logprobs"] = below(3);
    if (below(5) == 0) line["echo"] = true;
    if (below(4) == 0) line["ignore_eos"] = true;
    if (below(4) == 0) line["stop"] = {"e", "th"};
    if (below(4) == 0) line["stop_token_ids"] = {20 + below(230), 20 + below(230)};
    if (below(4) == 0) line["top_k"] = 5;
    if (below(4) == 0) line["top_p"] = 0.9;
    if (below(4) == 0) line["repetition_penalty"] = 1.3;
    if (below(4) == 0) line["presence_penalty"] = 0.5;
    if (below(4) == 0) line["frequency_penalty"] = 0.4;
    if (below(6) == 0) line["min_tokens"] = 1;
    lines.push_back(line);
    if (below(4) == 0) {  // the same once more
      line["id"] = "again" + std::to_string(i);
      lines.push_back(line);
      prompts.push_back(prompt);
      ++i;
    }
  }
  return lines;
}

RunOptions random_schedule(std::mt19937& random, int64_t block_bytes,
                           const std::array<std::string, 2>& priors) {
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  constexpr int32_t kBudgets[] = {1, 7, 32, 100, 256, 2048};
  constexpr int32_t kBlocks[] = {16, 17, 24, 40, 1000};  // 16: what the longest request may take
  RunOptions options;
  options.model = kModel;
  options.device = DeviceChoice::kCpu;
  options.max_model_len = 512;
  options.max_num_batched_tokens = kBudgets[below(std::size(kBudgets))];
  options.kv_memory_bytes = block_bytes * kBlocks[below(std::size(kBlocks))];
  options.threads = 1 + below(2);
  options.sharing = std::array{Sharing::kTree, Sharing::kLru, Sharing::kNone}[below(3)];
  options.batching = std::array{Batching::kPacked, Batching::kSorted, Batching::kPadded}[below(3)];
  options.order = below(2) ? Order::kRatio : Order::kFile;
  options.shared_attention = below(2);
  options.chunked_prefill = below(2);
  options.length_prediction = below(3) > 0;
  if (options.length_prediction && below(2)) options.length_prior = priors[below(2)];
  options.ordered = below(2);
  return options;
}

}  // namespace

TEST_CASE("answers are the same whatever switches are chosen") {
  std::mt19937 random(21);
  JobFolder folder;
  const std::vector<Json> lines = mixed_requests(random);
  folder.write_lines("in.jsonl", lines);
  RunOptions plain;
  plain.model = kModel;
  plain.device = DeviceChoice::kCpu;
  plain.max_model_len = 512;
  plain.threads = 1;
  RunMetrics metrics;
  folder.answers(plain, &metrics);
  // What is true of this job, and what is not: all answers have two tokens.
  const std::array priors{folder.file("report.json"), folder.file("wrong.json")};
  Json report = make_report(metrics);
  std::ofstream(priors[0]) << report_text(report);
  report["output_lengths"] = {
      {"tokens", {2}}, {"stopped", {1000}}, {"cut_off", {0}}, {"groups", Json::array()}};
  std::ofstream(priors[1]) << report_text(report);

  std::map<std::pair<Precision, KvType>, std::vector<std::string>> expected;
  int64_t n_yields = 0, n_padding = 0;
  const ModelFile model = open_model(kModel);
  for (int i = 0; i < kSchedules; ++i) {
    plain.precision = random() % 2 ? Precision::kExact : Precision::kFast;
    plain.kv_type =
        std::array{KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8}[random() % 4];
    std::vector<std::string>& answers = expected[{*plain.precision, *plain.kv_type}];
    if (answers.empty()) {
      answers = folder.answers(plain);
      REQUIRE(answers.size() == lines.size());
      for (const std::string& line : answers) REQUIRE(line.find("\"error\"") == std::string::npos);
    }
    RunOptions options = random_schedule(random, resolve(plain, model).kv_bytes_per_block, priors);
    options.precision = plain.precision;
    options.kv_type = plain.kv_type;
    CAPTURE(to_json(resolve(options, model)).dump());
    REQUIRE(folder.answers(options, &metrics) == answers);
    n_yields += metrics.prediction.yields;
    n_padding += metrics.tokens.padding;
  }
  CHECK(expected.size() == 8);
  CHECK(n_padding > 0);
  if (kSchedules == 200) CHECK(n_yields > 0);  // some pools were small enough to matter
}
