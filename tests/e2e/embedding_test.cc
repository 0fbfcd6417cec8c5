// Embedding lines against transformers, and their bits however the work is batched.
#include "embedding_fixture.h"
#include "oracle.h"

using namespace prefold;

namespace {

constexpr const char* kModel = "tests/data/models/tiny_bpe.gguf";
constexpr int32_t kHidden = 128;

RunOptions options_for(Pooling pooling) {
  RunOptions options;
  options.model = kModel;
  options.device = DeviceChoice::kCpu;
  options.threads = 1;
  options.max_model_len = 512;
  options.pooling = pooling;
  return options;
}

}  // namespace

TEST_CASE("embeddings of a tiny model agree with transformers, last token and mean") {
  const Json cases = read_json("tests/data/e2e/tiny_bpe_embeddings.json")["cases"];
  JobFolder folder;
  std::vector<Json> lines;
  Json texts = Json::array();
  int64_t n_tokens = 0;
  for (const Json& one : cases) {
    lines.push_back(embedding_line(std::to_string(lines.size()), {{"input", one["input"]}}));
    texts.push_back(one["input"]);
    n_tokens += one["n_tokens"].get<int64_t>();
  }
  lines.push_back(embedding_line("all", {{"input", texts}, {"model", "m"}}));
  folder.write_lines("in.jsonl", lines);
  for (const auto& [pooling, name] :
       {std::pair(Pooling::kLast, "last"), {Pooling::kMean, "mean"}}) {
    CAPTURE(name);
    RunMetrics metrics;
    const auto bodies = bodies_of(folder.answers(options_for(pooling), &metrics));
    REQUIRE(bodies.size() == lines.size());
    CHECK(metrics.requests.succeeded == std::ssize(lines));
    CHECK(metrics.tokens.output == 0);
    CHECK(metrics.tokens.prefill_computed == metrics.tokens.prefill_ideal);
    const Json& all = bodies.at("all");
    CHECK(all["object"] == "list");
    CHECK(all["model"] == "m");
    CHECK(all["usage"]["total_tokens"] == n_tokens);
    REQUIRE(all["data"].size() == cases.size());
    for (size_t i = 0; i < cases.size(); ++i) {
      const Json& body = bodies.at(std::to_string(i));
      CHECK(body["usage"]["prompt_tokens"] == cases[i]["n_tokens"]);
      check_unit_vector(body["data"][0]["embedding"], cases[i][name]);
      CHECK(all["data"][i]["index"] == i);
      CHECK(all["data"][i]["embedding"] == body["data"][0]["embedding"]);
    }
  }
}

TEST_CASE("an embedding has the same bits however the work is batched, among other lines") {
  JobFolder folder;
  const std::vector<Json> lines = mixed_lines(30, 40);
  folder.write_lines("in.jsonl", lines);
  for (const Pooling pooling : {Pooling::kLast, Pooling::kMean}) {
    CAPTURE(pooling == Pooling::kMean);
    const RunOptions base = options_for(pooling);
    const std::vector<std::string> expected = folder.answers(base);
    REQUIRE(expected.size() == lines.size());
    for (const std::string& line : expected) REQUIRE(line.find("\"error\":{") == std::string::npos);
    const auto check_same = [&](auto change) {
      RunOptions options = base;
      change(options);
      CHECK(folder.answers(options) == expected);
    };
    for (const int32_t budget : {17, 64, 2048}) {
      check_same([&](RunOptions& o) { o.max_num_batched_tokens = budget; });
      check_same([&](RunOptions& o) {
        o.max_num_batched_tokens = budget;
        o.sharing = Sharing::kLru;
        o.threads = 2;
      });
    }
    check_same([](RunOptions& o) { o.sharing = Sharing::kNone; });
    check_same([](RunOptions& o) { o.batching = Batching::kPadded; });
    check_same([](RunOptions& o) { o.chunked_prefill = false; });
    check_same([](RunOptions& o) { o.order = Order::kFile; });
    check_same([&](RunOptions& o) {
      o.kv_memory_bytes = resolve(base, open_model(kModel)).kv_bytes_per_block * 18;
    });
    for (const std::string& isa : job_instruction_sets()) {
      check_same([&](RunOptions& o) { o.cpu_isa = isa; });
    }
  }
}

TEST_CASE("dimensions keep the first values and make them unit length again") {
  JobFolder folder;
  folder.write_lines("in.jsonl", {embedding_line("whole", {{"input", "a b c"}}),
                                  embedding_line("part", {{"input", "a b c"}, {"dimensions", 5}}),
                                  embedding_line("more", {{"input", "x"}, {"dimensions", 129}})});
  const std::vector<std::string> lines = folder.answers(options_for(Pooling::kLast));
  auto bodies = bodies_of(lines);
  const Json whole = bodies["whole"]["data"][0]["embedding"];
  REQUIRE(whole.size() == kHidden);
  double squares = 0.0;
  for (size_t i = 0; i < 5; ++i) squares += whole[i].get<double>() * whole[i].get<double>();
  Json wanted = Json::array();
  for (size_t i = 0; i < 5; ++i) wanted.push_back(whole[i].get<double>() / std::sqrt(squares));
  check_unit_vector(bodies["part"]["data"][0]["embedding"], wanted);
  CHECK(bodies["more"]["error"]["code"] == "invalid_value");
  CHECK(bodies["more"]["error"]["message"].get<std::string>().find(
            "\"dimensions\" is 129; this model's embeddings have 128") != std::string::npos);
}

TEST_CASE("an input that cannot be answered fails its line, by name") {
  JobFolder folder;
  folder.write_lines("in.jsonl", {embedding_line("a", {{"input", {"x", ""}}}),
                                  embedding_line("b", {{"input", {{5}, {600}}}})});
  auto bodies = bodies_of(folder.answers(options_for(Pooling::kLast)));
  CHECK(bodies["a"]["error"]["code"] == "empty_prompt");
  CHECK(bodies["a"]["error"]["message"].get<std::string>().find("\"input[1]\"") !=
        std::string::npos);
  CHECK(bodies["b"]["error"]["code"] == "invalid_value");
}
