// The CPU engine against transformers.
#include "oracle.h"

using namespace prefold;

namespace {

void check_cpu(const std::string& model, const std::string& oracle_file) {
  const Json tolerance = read_json(oracle_file)["tolerance"];
  RunOptions options;
  options.model = model;
  options.device = DeviceChoice::kCpu;
  check_against_oracle(options, oracle_file, tolerance["logprob"], tolerance["margin"]);
}

}  // namespace

TEST_CASE("a tiny byte-level BPE model agrees with transformers") {
  check_cpu("tests/data/models/tiny_bpe.gguf", "tests/data/e2e/tiny_bpe.json");
}

TEST_CASE("a tiny SentencePiece model with llama3 rope scaling agrees with transformers") {
  check_cpu("tests/data/models/tiny_spm.gguf", "tests/data/e2e/tiny_spm.json");
}

TEST_CASE("the default model agrees with transformers" * doctest::skip(test_model() == nullptr)) {
  check_cpu(test_model(), "tests/data/e2e/smollm2_135m_instruct.json");
}
