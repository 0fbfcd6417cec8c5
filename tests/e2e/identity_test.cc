// The same answers, to the bit, however the work is batched (docs/architecture.md, I6).
#include "job_fixture.h"
#include "model/model_file.h"
#include "varied_requests.h"

using namespace prefold;

namespace {

constexpr const char* kSmallModel = "tests/data/models/tiny_bpe.gguf";

RunOptions options_for(const std::string& model) {
  RunOptions options;
  options.model = model;
  options.device = DeviceChoice::kCpu;
  options.threads = 1;
  options.max_model_len = 512;
  return options;
}

// The plain kernels take minutes on a model of real size; tiny ones cover them.
std::vector<std::string> instruction_sets_for(const std::string& model) {
  if (model == kSmallModel) return instruction_sets();
  std::vector<std::string> names = job_instruction_sets();
  if (model.find("tiny") == std::string::npos) std::erase(names, "scalar");
  return names;
}

void check_identity(const std::string& model, int32_t vocab_size, int n_requests, int longest) {
  JobFolder folder;
  std::vector<Json> lines = varied_requests(vocab_size, n_requests, longest);
  folder.write_lines("in.jsonl", lines);
  const RunOptions base = options_for(model);
  const std::vector<std::string> expected = folder.answers(base);
  REQUIRE(expected.size() == lines.size());
  for (const std::string& line : expected) REQUIRE(line.find("\"error\"") == std::string::npos);

  SUBCASE("token budgets, with one thread and two") {
    for (const int32_t budget : {32, 256, 2048}) {
      for (const int32_t threads : {1, 2}) {
        RunOptions options = base;
        options.max_num_batched_tokens = budget;
        options.threads = threads;
        CHECK(folder.answers(options) == expected);
      }
    }
  }
  SUBCASE("no sharing") {
    RunOptions options = base;
    options.sharing = Sharing::kNone;
    RunMetrics metrics;
    CHECK(folder.answers(options, &metrics) == expected);
    CHECK(metrics.tokens.prefill_computed > metrics.tokens.prefill_ideal);
  }
  SUBCASE("every part of the plan turned off") {
    RunOptions options = base;
    options.sharing = Sharing::kLru;
    options.max_num_batched_tokens = 64;
    CHECK(folder.answers(options) == expected);
    options = base;
    options.shared_attention = false;
    CHECK(folder.answers(options) == expected);
    options = base;
    options.order = Order::kFile;
    CHECK(folder.answers(options) == expected);
    options = base;
    options.chunked_prefill = false;
    CHECK(folder.answers(options) == expected);
    options = base;
    options.length_prediction = false;
    CHECK(folder.answers(options) == expected);
  }
  SUBCASE("whatever steps cost") {
    // Long and short steps; every segment pays, none does, only some do.
    const char* const costs[] = {
        R"("attention": {"tile_ns": [[1, 9]], "segment_ns": 0}, "layer_ns": [[128, 9]])",
        R"("attention": {"tile_ns": [[1, 9], [96, 9]], "segment_ns": 0}, "layer_ns": [[2048, 9]])",
        R"("attention": {"tile_ns": [[9, 9]], "segment_ns": 1e9}, "layer_ns": [[192, 1], [512, 9]])",
        R"("attention": {"tile_ns": [[4, 9], [96, 60]], "segment_ns": 20}, "layer_ns": [[1, 1]])"};
    for (const std::string text : costs) {
      std::ofstream(folder.file("costs.json"))
          << R"({"schema": "prefold-cost-model/1", "sample_ns": [[1, 1]], )" << text << "}";
      RunOptions options = base;
      options.cost_model = folder.file("costs.json");
      CHECK(folder.answers(options) == expected);
    }
  }
  SUBCASE("a KV pool that holds little more than the longest request") {
    RunOptions options = base;
    const int64_t block_bytes = resolve(base, open_model(model)).kv_bytes_per_block;
    options.kv_memory_bytes = block_bytes * 18;
    CHECK(folder.answers(options) == expected);
  }
  SUBCASE("shuffled input") {
    std::shuffle(lines.begin(), lines.end(), std::mt19937(3));
    folder.write_lines("in.jsonl", lines);
    CHECK(folder.answers(base) == expected);
  }
  SUBCASE("every instruction set that this processor has") {
    for (const std::string& isa : instruction_sets_for(model)) {
      RunOptions options = base;
      options.cpu_isa = isa;
      CHECK(folder.answers(options) == expected);
    }
  }
  SUBCASE("keys and values stored as f16, bf16 or int8: different bits, but always the same ones") {
    for (const KvType type : {KvType::kF16, KvType::kBF16, KvType::kInt8}) {
      RunOptions options = base;
      options.kv_type = type;
      const std::vector<std::string> rounded = folder.answers(options);
      CHECK(rounded != expected);
      options.sharing = Sharing::kNone;
      options.max_num_batched_tokens = 48;
      options.threads = 2;
      CHECK(folder.answers(options) == rounded);
    }
  }
  SUBCASE("precision fast, also with an int8 cache: different bits, but always the same ones") {
    std::vector<std::vector<std::string>> seen{expected};
    for (const KvType type : {KvType::kF16, KvType::kInt8}) {
      RunOptions options = base;
      options.precision = Precision::kFast;
      options.kv_type = type;
      const std::vector<std::string> rounded = folder.answers(options);
      for (const std::vector<std::string>& other : seen) CHECK(rounded != other);
      seen.push_back(rounded);
      options.sharing = Sharing::kNone;
      options.max_num_batched_tokens = 48;
      options.threads = 2;
      CHECK(folder.answers(options) == rounded);
      options.sharing = Sharing::kTree;
      options.max_num_batched_tokens = 2048;
      for (const std::string& isa : instruction_sets_for(model)) {
        options.cpu_isa = isa;
        CHECK(folder.answers(options) == rounded);
      }
    }
  }
  SUBCASE("each request by itself") {
    std::vector<std::string> alone;
    for (size_t i = 0; i < lines.size(); i += 5) {
      folder.write_lines("in.jsonl", {lines[i]});
      alone.push_back(folder.answers(base).front());
      CHECK(std::binary_search(expected.begin(), expected.end(), alone.back()));
    }
  }
}

}  // namespace

TEST_CASE("answers of a tiny model are the same for every schedule") {
  check_identity(kSmallModel, 256, 40, 120);
}

TEST_CASE("answers of a tiny model with grouped heads are the same for every schedule") {
  check_identity("tests/data/models/tiny_spm.gguf", 256, 40, 120);
}

TEST_CASE("answers of the default model are the same for every schedule" *
          doctest::skip(test_model() == nullptr)) {
  check_identity(test_model(), 40000, 12, 60);
}
