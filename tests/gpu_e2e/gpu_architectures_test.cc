// Small models of every architecture on the GPU against transformers, as tests/e2e has them on the
// CPU. What single features do is tested in tests/cuda/model_test.cc, in less time.
#include <algorithm>
#include <filesystem>

#include "e2e/oracle.h"
#include "gpu_e2e/gpu_job.h"

using namespace prefold;

namespace {

constexpr double kExactTolerance = 2e-3;
constexpr double kExactMargin = 2e-3;
// f16 activations, weights and cache; random weights magnify errors.
constexpr double kFastTolerance = 0.1;
constexpr double kFastMargin = 0.05;

// The models that are folders and have answers of transformers beside them.
std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("tests/data/models")) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || !std::filesystem::exists("tests/data/e2e/" + name + ".json")) {
      continue;
    }
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void check_architecture(const std::string& name, Precision precision) {
  CAPTURE(name);
  const std::string oracle_file = "tests/data/e2e/" + name + ".json";
  const Json oracle = read_json(oracle_file);
  RunOptions options = gpu_options("tests/data/models/" + name);
  options.max_model_len = {};
  if (oracle.contains("max_model_len")) options.max_model_len = oracle["max_model_len"];
  options.precision = precision;
  const bool is_exact = precision == Precision::kExact;
  options.cuda_graphs = !is_exact;  // without them the last layer leaves rows out
  check_against_oracle(options, oracle_file, is_exact ? kExactTolerance : kFastTolerance,
                       is_exact ? kExactMargin : kFastMargin);
}

}  // namespace

TEST_CASE("GPU: exact products of a model with windows agree with transformers [smoke]") {
  check_architecture("gemma2", Precision::kExact);
}

TEST_CASE("GPU: a model in the act order of GPTQ agrees with transformers") {
  check_architecture("llama_act_order", Precision::kExact);
}

TEST_CASE("GPU: exact products of models of every architecture agree with transformers [full]") {
  REQUIRE(architectures().size() >= 28);
  for (const std::string& name : architectures()) check_architecture(name, Precision::kExact);
}

TEST_CASE("GPU: models of every architecture come close to transformers in f16 [full]") {
  for (const std::string& name : architectures()) check_architecture(name, Precision::kFast);
}
