// Where the choice between cuBLAS and our own products is kept, and that a run finds it again.
#include "run/cublas_store.h"

#include <filesystem>
#include <fstream>

#include "gpu_e2e/gpu_job.h"

using namespace prefold;
using cuda::CublasRows;

namespace {

namespace fs = std::filesystem;

class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/prefold-test-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TempFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

cuda::CudaWeights weights_with_head(int32_t n_vocab) {
  cuda::CudaWeights weights;
  for (int i = 0; i < 3; ++i) {
    cuda::CudaLayerWeights layer;
    layer.q.weight = {cuda::WeightFormat::kW4, cuda::FloatType::kF16, 96, 64, nullptr, nullptr};
    layer.down.weight = {cuda::WeightFormat::kW8, cuda::FloatType::kF16, 64, 128, nullptr, nullptr};
    weights.layers.push_back(layer);
  }
  weights.output.weight = {
      cuda::WeightFormat::kDense, cuda::FloatType::kF16, n_vocab, 64, nullptr, nullptr};
  return weights;
}

struct Warnings {
  std::vector<std::string> lines;
  WarnFn warn = [this](const std::string& line) { lines.push_back(line); };
};

nlohmann::ordered_json key_of(const cuda::CudaWeights& weights) {
  return cublas_key(cuda::gpu(), cuda::FloatType::kF16, 1024, 256, weights);
}

}  // namespace

TEST_CASE("cuBLAS: another GPU, driver, type or matrix has another key [smoke]") {
  const nlohmann::ordered_json key = key_of(weights_with_head(512));
  CHECK(key["matrices"].dump() == R"([["w4",96,64],["w8",64,128],["dense",512,64]])");
  CHECK(key == key_of(weights_with_head(512)));
  CHECK(key != key_of(weights_with_head(520)));
  GpuInfo other = cuda::gpu();
  other.name = "another";
  const cuda::CudaWeights weights = weights_with_head(512);
  CHECK(key != cublas_key(other, cuda::FloatType::kF16, 1024, 256, weights));
  other = cuda::gpu();
  ++other.driver_version;
  CHECK(key != cublas_key(other, cuda::FloatType::kF16, 1024, 256, weights));
  CHECK(key != cublas_key(cuda::gpu(), cuda::FloatType::kBf16, 1024, 256, weights));
  CHECK(key != cublas_key(cuda::gpu(), cuda::FloatType::kF16, 512, 256, weights));
}

TEST_CASE("cuBLAS: a measured choice is found again; what is broken or foreign is left aside") {
  const TempFolder folder;
  Warnings warnings;
  const nlohmann::ordered_json key = key_of(weights_with_head(512));
  CHECK(!find_cublas_choice(key, folder.path(), warnings.warn));
  CHECK(!find_cublas_choice(key, {}, warnings.warn));
  const cuda::CublasChoice choice{{CublasRows::kNever, 64, 128}, 32};
  const KeptCublasChoice stored = store_cublas_choice(choice, key, folder.path(), warnings.warn);
  CHECK_FALSE(stored.is_cached);
  const auto found = find_cublas_choice(key, folder.path(), warnings.warn);
  REQUIRE(found);
  CHECK(found->is_cached);
  CHECK(found->choice.layers == choice.layers);
  CHECK(found->choice.output == choice.output);
  CHECK(to_json(*found)["dense"].is_null());
  CHECK(to_json(*found)["source"] == "cache");
  CHECK(warnings.lines.empty());

  std::ifstream in(stored.path);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    REQUIRE(text.find(from) != std::string::npos);
    return text.replace(text.find(from), from.size(), to);
  };
  const std::string broken[] = {"",
                                good.substr(0, good.size() / 2),
                                "[]",
                                std::string(50000, '['),
                                with("prefold-cublas/1", "prefold-cublas/0"),
                                with("\"w8\": 64", "\"w8\": 0"),
                                with("\"w8\": 64", "\"w8\": 1e300"),
                                with("\"w8\": 64", "\"w8\": \"64\""),
                                with("\"output\"", "\"input\""),
                                with("\"max_rows\": 1024", "\"max_rows\": 1023")};
  for (const std::string& text : broken) {
    std::ofstream(stored.path, std::ios::trunc) << text;
    warnings.lines.clear();
    CHECK(!find_cublas_choice(key, folder.path(), warnings.warn));
    REQUIRE(warnings.lines.size() == 1);
    CHECK(warnings.lines[0].find(stored.path.string()) != std::string::npos);
  }
}

TEST_CASE("cuBLAS: the first run measures from how many rows on it is used, the second knows") {
  const TempFolder folder;
  const char* before = std::getenv("PREFOLD_CACHE");
  const std::string kept = before == nullptr ? "" : before;
  REQUIRE(setenv("PREFOLD_CACHE", folder.path().c_str(), 1) == 0);
  JobFolder job;
  job.write_lines("in.jsonl", {{{"id", "a"}, {"prompt", "x"}, {"max_tokens", 2}}});
  RunOptions options = gpu_options(kTinyBpe);
  RunMetrics metrics;
  job.answers(options, &metrics);
  CHECK(metrics.gpu->cublas_rows.is_null());  // --deterministic
  CHECK(fs::is_empty(folder.path()));
  options.deterministic = false;
  job.answers(options, &metrics);
  nlohmann::ordered_json measured = metrics.gpu->cublas_rows;
  CHECK(measured["source"] == "measured");
  job.answers(options, &metrics);
  nlohmann::ordered_json cached = metrics.gpu->cublas_rows;
  CHECK(cached["source"] == "cache");
  for (auto* json : {&measured, &cached}) json->erase("source");
  CHECK(cached == measured);
  options.precision = Precision::kExact;
  job.answers(options, &metrics);
  CHECK(metrics.gpu->cublas_rows.is_null());
  if (before == nullptr) {
    unsetenv("PREFOLD_CACHE");
  } else {
    setenv("PREFOLD_CACHE", kept.c_str(), 1);
  }
}
