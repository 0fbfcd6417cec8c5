// The same small models in GGUF (scripts/hf_to_gguf.py), where tensors are permuted, fused and
// named otherwise, against the answers that transformers gave for the folders.
#include "oracle.h"

using namespace prefold;

TEST_CASE("models of several architectures in GGUF agree with transformers") {
  for (const std::string name : {"cohere", "cohere_heads", "gemma3_text", "gpt2", "gpt_neox",
                                 "llama3", "phi3", "qwen3", "stablelm_heads"}) {
    CAPTURE(name);
    const std::string oracle_file = "tests/data/e2e/" + name + ".json";
    const Json oracle = read_json(oracle_file);
    RunOptions options;
    options.model = "tests/data/models/gguf/" + name + ".gguf";
    options.device = DeviceChoice::kCpu;
    options.threads = 1;
    if (oracle.contains("max_model_len")) options.max_model_len = oracle["max_model_len"];
    check_against_oracle(options, oracle_file, oracle["tolerance"]["logprob"],
                         oracle["tolerance"]["margin"]);
  }
}
