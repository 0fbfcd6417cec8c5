// Adapters on the GPU: against PEFT, and against themselves however the work is batched, as
// tests/e2e/lora_test.cc has them on the CPU.
#include "e2e/lora_fixture.h"
#include "e2e/oracle.h"
#include "gpu_e2e/gpu_job.h"

using namespace prefold;

namespace {

RunOptions adapted_options(const std::string& model, const std::vector<std::string>& adapters) {
  RunOptions options = gpu_options("tests/data/models/" + model);
  options.max_model_len = {};
  for (const std::string& adapter : adapters) {
    options.lora.push_back({adapter, "tests/data/lora/" + model + "-" + adapter});
  }
  return options;
}

void check_oracle(const std::string& model, const std::vector<std::string>& adapters,
                  Precision precision) {
  CAPTURE(model);
  RunOptions options = adapted_options(model, adapters);
  options.precision = precision;
  const bool is_exact = precision == Precision::kExact;
  check_against_oracle(options, "tests/data/e2e/lora_" + model + ".json", is_exact ? 2e-3 : 0.1,
                       is_exact ? 2e-3 : 0.05);
}

std::vector<Json> mixed_requests() {
  std::vector<Json> lines = gpu_requests(6, 40);
  std::vector<Json> mixed;
  for (const char* adapter : {"", "a", "b"}) {
    for (Json line : lines) {
      line["id"] = line["id"].get<std::string>() + "/" + adapter;
      if (*adapter != '\0') line["lora"] = adapter;
      mixed.push_back(line);
    }
  }
  return mixed;
}

}  // namespace

TEST_CASE("GPU: adapters agree with PEFT, all in one job [smoke]") {
  check_oracle("phi3", {"a", "b"}, Precision::kExact);
}

TEST_CASE("GPU: adapters of several architectures agree with PEFT [full]") {
  for (const Precision precision : {Precision::kExact, Precision::kFast}) {
    for (const char* model : {"llama3", "qwen2", "gpt2", "phi3"}) {
      check_oracle(model, {"a", "b"}, precision);
    }
    for (const char* model : {"gpt_neox", "gemma2", "granite"})
      check_oracle(model, {"a"}, precision);
  }
}

TEST_CASE("GPU: answers of many adapters in one job are those of each adapter's own") {
  const RunOptions base = adapted_options("qwen2", {"a", "b"});
  const std::vector<Json> lines = mixed_requests();
  JobFolder folder;
  folder.write_lines("in.jsonl", lines);
  RunMetrics metrics;
  const std::vector<std::string> expected = folder.answers(base, &metrics);
  for (const std::string& line : expected) REQUIRE(line.find("\"error\"") == std::string::npos);
  REQUIRE(expected.size() == lines.size());
  CHECK(metrics.gpu->replayed_steps > 0);

  CHECK(answered_alone(lines, base) == expected);

  RunOptions options = base;
  options.cuda_graphs = false;
  options.max_num_batched_tokens = 48;
  CHECK(folder.answers(options) == expected);
}
