// The GPU engine against transformers, and on the default model against the CPU engine.
#include "e2e/oracle.h"
#include "gpu_e2e/gpu_job.h"

using namespace prefold;

namespace {

// f16 activations, weights and cache; the tiny models have random weights, which magnify errors.
constexpr double kFastTolerance = 0.1;
constexpr double kFastMargin = 0.05;
constexpr double kExactTolerance = 2e-3;
constexpr double kExactMargin = 2e-3;

RunOptions oracle_options(const std::string& model) {
  RunOptions options = gpu_options(model);
  options.max_model_len = {};
  return options;
}

// Two short prompts; greedy tokens must be those of the CPU wherever it is sure of them.
void check_against_cpu(const std::string& model) {
  JobFolder folder;
  const auto line = [](const char* id, const char* prompt) {
    return Json{{"id", id},         {"prompt", prompt},         {"max_tokens", 3},
                {"temperature", 0}, {"return_token_ids", true}, {"logprobs", 2}};
  };
  folder.write_lines("in.jsonl", {line("a", "The capital of France is the city of"),
                                  line("b", "The capital of France is the old town of")});
  RunOptions options = gpu_options(model);
  options.max_num_batched_tokens = 32;
  const std::vector<std::string> on_gpu = folder.answers(options);
  options.device = DeviceChoice::kCpu;
  const std::vector<std::string> on_cpu = folder.answers(options);
  REQUIRE(on_gpu.size() == 2);
  REQUIRE(on_cpu.size() == 2);
  int n_compared = 0;
  for (size_t i = 0; i < on_cpu.size(); ++i) {
    const Json expected = Json::parse(on_cpu[i]), answer = Json::parse(on_gpu[i]);
    CAPTURE(on_cpu[i]);
    CAPTURE(on_gpu[i]);
    for (size_t k = 0; k < expected["token_ids"].size(); ++k) {
      const Json& top = expected["logprobs"][k]["top"];
      const double best = top[0]["logprob"], second = top[1]["logprob"];
      if (best - second <= kFastMargin) break;
      REQUIRE(answer["token_ids"].size() > k);
      CHECK(answer["token_ids"][k] == expected["token_ids"][k]);
      CHECK(std::abs(answer["logprobs"][k]["logprob"].get<double>() - best) <= kFastTolerance);
      ++n_compared;
    }
  }
  CHECK(n_compared >= 3);
}

void require_all_answered(const std::vector<std::string>& answers, size_t n_lines) {
  REQUIRE(answers.size() == n_lines);
  for (const std::string& line : answers) REQUIRE(line.find("\"error\"") == std::string::npos);
}

}  // namespace

TEST_CASE("GPU: a tiny byte-level BPE model agrees with transformers [smoke]") {
  check_against_oracle(oracle_options(kTinyBpe), "tests/data/e2e/tiny_bpe.json", kFastTolerance,
                       kFastMargin);
}

TEST_CASE("GPU: a tiny SentencePiece model agrees with transformers [full]") {
  check_against_oracle(oracle_options(kTinySpm), "tests/data/e2e/tiny_spm.json", kFastTolerance,
                       kFastMargin);
}

TEST_CASE("GPU: exact products agree with transformers as the CPU's do") {
  RunOptions options = oracle_options(kTinyBpe);
  options.precision = Precision::kExact;
  check_against_oracle(options, "tests/data/e2e/tiny_bpe.json", kExactTolerance, kExactMargin);
}

TEST_CASE("GPU: with cuBLAS, a tiny model with llama3 rope scaling agrees with transformers") {
  RunOptions options = oracle_options(kTinySpm);
  options.deterministic = false;
  check_against_oracle(options, "tests/data/e2e/tiny_spm.json", kFastTolerance, kFastMargin);
}

// Scores, best tokens, draws and masks of a vocabulary whose size is no multiple of anything.
TEST_CASE("GPU: a vocabulary of an odd size is answered as on the CPU") {
  JobFolder folder;
  std::vector<Json> lines = gpu_requests(4, 40);
  for (Json& line : lines) line["max_tokens"] = 6;
  folder.write_lines("in.jsonl", lines);
  RunOptions options = gpu_options("tests/data/models/tiny_odd.gguf");
  options.precision = Precision::kExact;
  const std::vector<std::string> on_gpu = folder.answers(options);
  options.device = DeviceChoice::kCpu;
  const std::vector<std::string> on_cpu = folder.answers(options);
  REQUIRE(on_gpu.size() == lines.size());
  int n_compared = 0;
  for (size_t i = 0; i < on_cpu.size(); ++i) {
    const Json expected = Json::parse(on_cpu[i]), answer = Json::parse(on_gpu[i]);
    CAPTURE(on_cpu[i]);
    CAPTURE(on_gpu[i]);
    REQUIRE(!expected.contains("error"));
    CHECK(answer["text"] == expected["text"]);
    CHECK(answer["token_ids"] == expected["token_ids"]);
    n_compared += static_cast<int>(expected["token_ids"].size());
  }
  CHECK(n_compared >= 20);
  options = gpu_options(options.model);
  require_all_answered(folder.answers(options), lines.size());
  options.deterministic = false;
  require_all_answered(folder.answers(options), lines.size());
}

TEST_CASE("GPU: the default model answers as on the CPU" * doctest::skip(test_model() == nullptr)) {
  check_against_cpu(test_model());
}
