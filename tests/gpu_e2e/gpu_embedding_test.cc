// Embedding lines on the GPU: against the CPU engine, and their bits however the work is batched.
#include "e2e/embedding_fixture.h"
#include "gpu_e2e/gpu_job.h"

using namespace prefold;

namespace {

// f16 activations and weights.
constexpr double kFastTolerance = 5e-3;

RunOptions embedding_options(Pooling pooling, Precision precision) {
  RunOptions options = gpu_options(kTinyBpe);
  options.pooling = pooling;
  options.precision = precision;
  return options;
}

// Answers to embedding lines only, the others being compared elsewhere.
std::map<std::string, Json> embeddings_of(const std::vector<std::string>& lines) {
  std::vector<std::string> kept;
  for (const std::string& line : lines) {
    REQUIRE(line.find("\"error\":{") == std::string::npos);
    if (line.find("\"embedding\"") != std::string::npos) kept.push_back(line);
  }
  return bodies_of(kept);
}

// By index, since a base64 embedding is no array of numbers.
void check_close(const Json& ours, const Json& wanted, double tolerance) {
  REQUIRE(ours["data"].size() == wanted["data"].size());
  for (size_t i = 0; i < ours["data"].size(); ++i) {
    if (ours["data"][i]["embedding"].is_string()) continue;
    check_unit_vector(ours["data"][i]["embedding"], wanted["data"][i]["embedding"], tolerance);
  }
}

void check_job(int n_others, int n_inputs, std::initializer_list<int32_t> budgets) {
  JobFolder folder;
  const std::vector<Json> lines = mixed_lines(n_others, n_inputs);
  folder.write_lines("in.jsonl", lines);
  for (const Pooling pooling : {Pooling::kLast, Pooling::kMean}) {
    for (const Precision precision : {Precision::kExact, Precision::kFast}) {
      CAPTURE(pooling == Pooling::kMean);
      CAPTURE(precision == Precision::kFast);
      RunOptions options = embedding_options(pooling, precision);
      RunMetrics metrics;
      const std::vector<std::string> expected = folder.answers(options, &metrics);
      REQUIRE(expected.size() == lines.size());
      CHECK(metrics.tokens.prefill_computed == metrics.tokens.prefill_ideal);
      for (const int32_t budget : budgets) {
        options.max_num_batched_tokens = budget;
        CHECK(folder.answers(options) == expected);
      }
      options.device = DeviceChoice::kCpu;
      options.precision = Precision::kExact;
      const auto on_cpu = embeddings_of(folder.answers(options));
      const auto on_gpu = embeddings_of(expected);
      REQUIRE(on_gpu.size() == on_cpu.size());
      REQUIRE(!on_cpu.empty());
      for (const auto& [id, body] : on_cpu) {
        CAPTURE(id);
        check_close(on_gpu.at(id), body, precision == Precision::kFast ? kFastTolerance : 2e-5);
      }
    }
  }
}

}  // namespace

TEST_CASE("[smoke] embeddings are those of the CPU, the same bits in steps of any size") {
  check_job(0, 6, {24});
}

TEST_CASE("[full] embeddings among other lines, and in smaller and larger steps") {
  check_job(8, 24, {17, 64, 512});
}
