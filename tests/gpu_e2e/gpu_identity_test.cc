// On a GPU with --deterministic: the same answers, to the bit, however the work is batched
// (docs/architecture.md, I6).
#include <array>

#include "gpu_e2e/gpu_job.h"
#include "model/model_file.h"

using namespace prefold;

namespace {

void require_answers(const std::vector<std::string>& answers, size_t n_lines) {
  REQUIRE(answers.size() == n_lines);
  for (const std::string& line : answers) REQUIRE(line.find("\"error\"") == std::string::npos);
}

void check_identity(const std::string& model, int n_varied) {
  JobFolder folder;
  std::vector<Json> lines = gpu_requests(n_varied, 300);
  folder.write_lines("in.jsonl", lines);
  const RunOptions base = gpu_options(model);
  RunMetrics metrics;
  const std::vector<std::string> expected = folder.answers(base, &metrics);
  require_answers(expected, lines.size());
  REQUIRE(metrics.gpu.has_value());
  CHECK(metrics.gpu->graphs > 0);
  CHECK(metrics.gpu->replayed_steps > metrics.gpu->graphs);
  CHECK(metrics.gpu->replayed_steps < metrics.steps.count());

  RunOptions options = base;
  options.cuda_graphs = false;
  CHECK(folder.answers(options, &metrics) == expected);
  CHECK(metrics.gpu->replayed_steps == 0);
  options = base;
  options.max_num_batched_tokens = 48;
  CHECK(folder.answers(options) == expected);
  options.max_num_batched_tokens = 2048;
  options.sharing = Sharing::kLru;
  CHECK(folder.answers(options) == expected);

  options = base;
  options.sharing = Sharing::kNone;
  CHECK(folder.answers(options, &metrics) == expected);
  CHECK(metrics.tokens.prefill_computed > metrics.tokens.prefill_ideal);

  options = base;
  options.shared_attention = false;
  options.order = Order::kFile;
  CHECK(folder.answers(options) == expected);

  options = base;
  options.batching = Batching::kPadded;
  options.length_prediction = false;
  CHECK(folder.answers(options, &metrics) == expected);
  CHECK(metrics.tokens.padding > 0);

  std::shuffle(lines.begin(), lines.end(), std::mt19937(3));
  folder.write_lines("in.jsonl", lines);
  options = base;
  options.kv_memory_bytes = resolve(base, open_model(model)).kv_bytes_per_block * 18;
  CHECK(folder.answers(options) == expected);

  for (size_t i = 0; i < lines.size(); i += 4) {
    folder.write_lines("in.jsonl", {lines[i]});
    CHECK(std::binary_search(expected.begin(), expected.end(), folder.answers(base).front()));
  }
}

}  // namespace

TEST_CASE("GPU: answers of a tiny model with grouped heads are the same for every schedule") {
  check_identity(kTinySpm, 6);
}

TEST_CASE("GPU: answers of another tiny model are the same for every schedule [full]") {
  check_identity(kTinyBpe, 16);
}

TEST_CASE("GPU: answers are the same whatever switches are chosen") {
  std::mt19937 random(17);
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  JobFolder folder;
  const std::vector<Json> lines = gpu_requests(6, 64);
  folder.write_lines("in.jsonl", lines);
  const RunOptions base = gpu_options(kTinySpm);
  const std::vector<std::string> expected = folder.answers(base);
  require_answers(expected, lines.size());
  const int64_t block_bytes = resolve(base, open_model(kTinySpm)).kv_bytes_per_block;
  for (int i = 0; i < 4; ++i) {
    RunOptions options = base;
    options.max_num_batched_tokens = std::array{5, 16, 40, 300}[below(4)];
    options.kv_memory_bytes = block_bytes * std::array{18, 20, 500}[below(3)];
    options.sharing = std::array{Sharing::kTree, Sharing::kLru, Sharing::kNone}[below(3)];
    options.batching =
        std::array{Batching::kPacked, Batching::kSorted, Batching::kPadded}[below(3)];
    options.order = below(2) ? Order::kRatio : Order::kFile;
    options.shared_attention = below(2);
    options.chunked_prefill = below(2);
    options.length_prediction = below(2);
    options.cuda_graphs = below(2);
    CAPTURE(to_json(resolve(options, open_model(kTinySpm))).dump());
    CHECK(folder.answers(options) == expected);
  }
}

TEST_CASE("GPU: decodes are replayed from graphs, and give what launches give") {
  JobFolder folder;
  std::vector<Json> lines;
  for (int i = 0; i < 20; ++i) {
    lines.push_back({{"id", fmt::format("d{}", i)},
                     {"prompt_token_ids", {30 + i, 40, 50 + i}},
                     {"max_tokens", 12 + i % 3},
                     {"ignore_eos", true},
                     {"temperature", i % 2},
                     {"logprobs", 1},
                     {"return_token_ids", true}});
  }
  folder.write_lines("in.jsonl", lines);
  for (const bool is_exact : {false, true}) {
    RunOptions options = gpu_options(kTinySpm);
    if (is_exact) options.precision = Precision::kExact;
    RunMetrics metrics;
    const std::vector<std::string> replayed = folder.answers(options, &metrics);
    require_answers(replayed, lines.size());
    // Eleven steps have 20 rows, and the first of them is launched; no other bucket has two.
    CHECK(metrics.gpu->graphs == 1);
    CHECK(metrics.gpu->replayed_steps == 10);
    options.cuda_graphs = false;
    CHECK(folder.answers(options, &metrics) == replayed);
    CHECK(metrics.gpu->replayed_steps == 0);
  }
}

TEST_CASE("GPU: a few answers are the same in one job and alone [smoke]") {
  JobFolder folder;
  const std::vector<Json> lines = gpu_requests(3, 270);
  folder.write_lines("in.jsonl", lines);
  const RunOptions base = gpu_options(kTinyBpe);
  const std::vector<std::string> expected = folder.answers(base);
  require_answers(expected, lines.size());
  for (const size_t i : {0, 4}) {
    folder.write_lines("in.jsonl", {lines[i]});
    CHECK(std::binary_search(expected.begin(), expected.end(), folder.answers(base).front()));
  }
}

TEST_CASE("GPU: exact and bf16 answers are the same for every schedule, and others than f16's") {
  JobFolder folder;
  const std::vector<Json> lines = gpu_requests(4, 270);
  folder.write_lines("in.jsonl", lines);
  std::vector<std::vector<std::string>> seen{folder.answers(gpu_options(kTinyBpe))};
  const auto check = [&](RunOptions options) {
    const std::vector<std::string> answers = folder.answers(options);
    require_answers(answers, lines.size());
    for (const std::vector<std::string>& other : seen) CHECK(answers != other);
    seen.push_back(answers);
    options.sharing = Sharing::kNone;
    options.max_num_batched_tokens = 40;
    CHECK(folder.answers(options) == answers);
  };
  RunOptions exact = gpu_options(kTinyBpe);
  exact.precision = Precision::kExact;
  exact.deterministic = false;  // exact products are always ours
  check(exact);
  if (!cuda::gpu_has(8, 0, "bf16")) return;
  RunOptions bf16 = gpu_options(kTinyBpe);
  bf16.kv_type = KvType::kBF16;
  check(bf16);
}
