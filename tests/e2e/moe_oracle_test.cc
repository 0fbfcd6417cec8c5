// Models with layers of experts against transformers, and the same answers however rows are
// grouped.
#include "oracle.h"
#include "varied_requests.h"

using namespace prefold;

namespace {

constexpr const char* kModels[] = {"mixtral", "qwen2_moe", "qwen3_moe", "olmoe"};

RunOptions options_for(const std::string& name) {
  RunOptions options;
  options.model = "tests/data/models/" + name;
  options.device = DeviceChoice::kCpu;
  return options;
}

}  // namespace

TEST_CASE("tiny models with experts agree with transformers") {
  for (const std::string name : kModels) {
    CAPTURE(name);
    const std::string oracle = "tests/data/e2e/" + name + ".json";
    const Json tolerance = read_json(oracle)["tolerance"];
    check_against_oracle(options_for(name), oracle, tolerance["logprob"], tolerance["margin"]);
  }
}

TEST_CASE(
    "answers of models with experts do not depend on grouping, batching, threads or kernels") {
  JobFolder folder;
  folder.write_lines("in.jsonl", varied_requests(320, 20, 120));
  for (const std::string name : kModels) {
    CAPTURE(name);
    RunOptions base = options_for(name);
    base.threads = 1;
    base.max_model_len = 384;
    const std::vector<std::string> expected = folder.answers(base);
    for (const std::string& line : expected) REQUIRE(line.find("\"error\"") == std::string::npos);
    const auto check_same = [&](auto change) {
      RunOptions options = base;
      change(options);
      CHECK(folder.answers(options) == expected);
    };
    check_same([](RunOptions& o) { o.moe_grouping = MoeGrouping::kOff; });
    check_same([](RunOptions& o) { o.max_num_batched_tokens = 23; });
    check_same([](RunOptions& o) {
      o.sharing = Sharing::kNone;
      o.threads = 2;
      o.max_num_batched_tokens = 1024;
    });
    for (const std::string& isa : job_instruction_sets()) {
      check_same([&](RunOptions& o) { o.cpu_isa = isa; });
    }
  }
}
