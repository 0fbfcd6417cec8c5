// How much memory a line of a job takes, measured on the whole program.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "process.h"

using namespace prefold;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // what it keeps for itself is many times ours
#else
constexpr bool kSanitized = false;
#endif

constexpr int32_t kLinesPerGroup = 50, kPrefixTokens = 24, kOwnTokens = 4;

// Prompts of token ids: the prefix of a group, and tokens of their own.
void write_job(const std::string& path, int32_t n_lines) {
  std::mt19937 random(11);
  std::ofstream out(path);
  for (int32_t i = 0; i < n_lines; ++i) {
    std::mt19937 of_group(i % (n_lines / kLinesPerGroup));
    out << R"({"id":"q)" << i << R"(","prompt_token_ids":[)";
    for (int32_t k = 0; k < kPrefixTokens + kOwnTokens; ++k) {
      std::mt19937& from = k < kPrefixTokens ? of_group : random;
      out << (k > 0 ? "," : "") << 20 + from() % 236;
    }
    out << R"(],"max_tokens":2,"temperature":0,"ignore_eos":true})"
        << "\n";
  }
}

// Largest resident memory of a whole run.
int64_t peak_bytes(int32_t n_lines) {
  char name[] = "/tmp/prefold-memory-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  const std::string folder = name;
  write_job(folder + "/in.jsonl", n_lines);
  Process run({prefold_binary(),
               "run",
               "--model",
               "tests/data/models/tiny_bpe.gguf",
               "--input",
               folder + "/in.jsonl",
               "--output",
               folder + "/out.jsonl",
               "--report",
               folder + "/report.json",
               "--device",
               "cpu",
               "--threads",
               "2",
               "--kv-memory",
               "4M",
               "--max-num-batched-tokens",
               "256",
               "--cost-model",
               "tests/data/cost_model.json"},
              folder + "/errors.txt");
  REQUIRE_MESSAGE(run.wait() == 0, text_of(folder + "/errors.txt"));
  const auto report = nlohmann::json::parse(text_of(folder + "/report.json"));
  std::filesystem::remove_all(folder);
  REQUIRE(report["requests"]["succeeded"] == n_lines);
  return report["memory_bytes"]["peak_rss"];
}

}  // namespace

TEST_CASE("a line takes at most 128 bytes besides 4 a prompt token, at the peak of a whole run" *
          doctest::skip(kSanitized)) {
  constexpr int32_t kFewer = 5'000, kMore = 60'000;
  const auto n_bytes = static_cast<double>(peak_bytes(kMore) - peak_bytes(kFewer));
  const double beside_tokens = n_bytes / (kMore - kFewer) - 4 * (kPrefixTokens + kOwnTokens);
  MESSAGE(beside_tokens << " bytes a line");
  CHECK(beside_tokens <= 128);
  CHECK(beside_tokens > 40);  // else something else than the job was measured
}
