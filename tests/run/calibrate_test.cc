// Where costs come from: measured, kept in a folder, read back, or left aside.
#include "run/calibrate.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/timer.h"
#include "run/cost_store.h"
#include "temp_file.h"

using namespace prefold;

namespace {

namespace fs = std::filesystem;

const char* const kModels[] = {"tests/data/models/tiny_bpe.gguf",
                               "tests/data/models/tiny_spm.gguf"};

class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "prefold-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Setting {
  ModelFile model = open_model(kModels[0]);
  RunConfig config;
  nlohmann::ordered_json key;
  std::vector<std::string> warnings;
  WarnFn warn = [this](const std::string& line) { warnings.push_back(line); };

  Setting() {
    RunOptions options;
    options.model = kModels[0];
    options.threads = 1;
    config = resolve(options, model);
    key = cost_key(model, config);
  }
};

void check_rising(const CostCurve& curve) {
  REQUIRE(curve.size() >= 2);
  for (size_t i = 0; i < curve.size(); ++i) {
    CHECK(std::isfinite(curve[i].ns));
    CHECK(curve[i].ns >= (i == 0 ? 1.0 : curve[i - 1].ns));
    if (i > 0) CHECK(curve[i].n > curve[i - 1].n);
  }
}

std::string file_text(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("costs are measured for every KV type and head shape, and are a valid cost model") {
  for (const char* path : kModels) {
    const ModelFile model = open_model(path);
    ThreadPool pool(2);
    const Weights weights = load_weights(model, pool);
    const int32_t n_group = model.config.n_heads / model.config.n_kv_heads;
    for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8}) {
      const Device device{&pool, &find_cpu_kernels("auto"), Precision::kExact};
      const MeasuredCosts measured =
          measure_costs(device, model.config, weights, type, int64_t{256} << 20);
      CHECK(measured.processor_share > 0);
      CHECK(measured.processor_share < 1.2);  // two clocks
      const CostModel& costs = measured.model;
      check_rising(costs.attention.tile_ns);
      check_rising(costs.layer_ns);
      check_rising(costs.sample_ns);
      CHECK(costs.attention.tile_ns.front().n == n_group);
      CHECK(costs.attention.tile_ns.back().n == kMaxWalkRows / n_group * n_group);
      CHECK(std::isfinite(costs.attention.segment_ns));
      CHECK(costs.attention.segment_ns >= 0);
      CHECK(to_json(parse_cost_model(to_json(costs).dump(), "x")) == to_json(costs));
    }
  }
}

TEST_CASE("little memory ends the measured curve early") {
  const ModelFile model = open_model(kModels[0]);
  ThreadPool pool(1);
  const Weights weights = load_weights(model, pool);
  const Device device{&pool, &find_cpu_kernels("auto"), Precision::kFast};
  for (const int64_t n_bytes : {int64_t{0}, int64_t{2} << 20}) {
    const CostModel costs =
        measure_costs(device, model.config, weights, KvType::kF16, n_bytes).model;
    CHECK(costs.layer_ns.back().n >= 128);
    CHECK(costs.layer_ns.back().n < 2048);
    CHECK(best_token_budget(costs, model.config.n_layers) >= 128);
  }
}

TEST_CASE("measured costs are kept and found again by whoever runs the same thing") {
  Setting s;
  const TempFolder folder;
  const fs::path deep = folder.path() / "not" / "there" / "yet";
  CHECK(!find_costs(s.config, s.key, deep, s.warn));
  const CostModel costs = default_cost_model();
  const ChosenCosts stored = store_costs(costs, s.key, deep, s.warn);
  CHECK(stored.source == CostSource::kMeasured);
  CHECK(std::distance(fs::directory_iterator(deep), {}) == 1);  // no half-written file stays
  const std::optional<ChosenCosts> found = find_costs(s.config, s.key, deep, s.warn);
  REQUIRE(found);
  CHECK(found->source == CostSource::kCache);
  CHECK(found->path == stored.path);
  CHECK(to_json(found->model) == to_json(costs));
  CHECK(s.warnings.empty());

  // What is kept can be named as a file, too.
  s.config.options.cost_model = stored.path.string();
  const std::optional<ChosenCosts> named = find_costs(s.config, s.key, {}, s.warn);
  REQUIRE(named);
  CHECK(named->source == CostSource::kFile);
  CHECK(to_json(named->model) == to_json(costs));
  CHECK(to_json(*named)["path"] == stored.path.string());
}

TEST_CASE("another machine, setting or model has another key") {
  Setting s;
  RunConfig config = s.config;
  config.threads = 2;
  CHECK(cost_key(s.model, config) != s.key);
  config = s.config;
  config.kv_type = KvType::kInt8;
  CHECK(cost_key(s.model, config) != s.key);
  config = s.config;
  config.precision = Precision::kFast;
  CHECK(cost_key(s.model, config) != s.key);
  config = s.config;
  config.cpu_isa = "other";
  CHECK(cost_key(s.model, config) != s.key);
  CHECK(cost_key(open_model(kModels[1]), s.config) != s.key);
  CHECK(cost_key(open_model(kModels[0]), s.config) == s.key);
}

TEST_CASE("a broken or foreign file in the cache is warned of and left aside") {
  Setting s;
  const TempFolder folder;
  const ChosenCosts stored = store_costs(default_cost_model(), s.key, folder.path(), s.warn);
  const std::string good = file_text(stored.path);
  std::string foreign = good;
  foreign.replace(foreign.find("\"threads\": 1"), 12, "\"threads\": 64");
  std::string keyless = good;
  keyless.replace(keyless.find("measured_on"), 11, "measured_by");
  std::string deep = good;
  deep.replace(deep.find("\"threads\": 1"), 12,
               "\"threads\": " + std::string(50000, '[') + std::string(50000, ']'));
  const std::string broken[] = {"",
                                good.substr(0, good.size() / 2),
                                std::string(1000, '\0'),
                                "\xff\xfe{}",
                                "[]",
                                foreign,
                                keyless,
                                deep,
                                std::string((1 << 20) + 1, ' ') + good};
  for (const std::string& text : broken) {
    std::ofstream(stored.path, std::ios::trunc) << text;
    s.warnings.clear();
    CHECK(!find_costs(s.config, s.key, folder.path(), s.warn));
    REQUIRE(s.warnings.size() == 1);
    CHECK(s.warnings[0].find(stored.path.string()) != std::string::npos);
    CHECK(s.warnings[0].size() < 2000);
  }
  // The next measurement puts it right.
  store_costs(default_cost_model(), s.key, folder.path(), s.warn);
  CHECK(find_costs(s.config, s.key, folder.path(), s.warn));

  fs::remove(stored.path);
  fs::create_directory(stored.path);
  s.warnings.clear();
  CHECK(!find_costs(s.config, s.key, folder.path(), s.warn));
  CHECK(s.warnings.size() == 1);
}

TEST_CASE("a folder that cannot be written costs a warning and nothing else") {
  Setting s;
  const TempFile file("a file where a folder should be");
  const ChosenCosts costs = store_costs(default_cost_model(), s.key, file.path(), s.warn);
  CHECK(s.warnings.size() == 1);
  CHECK(costs.path.empty());
  CHECK(to_json(costs)["path"].is_null());
  CHECK(to_json(costs)["source"] == "measured");

  s.warnings.clear();
  CHECK(store_costs(default_cost_model(), s.key, {}, s.warn).path.empty());
  CHECK(!find_costs(s.config, s.key, {}, s.warn));
  CHECK(s.warnings.empty());  // no folder at all is a choice
}

TEST_CASE("a file named on the command line must be a cost model") {
  Setting s;
  const auto error = [&](const std::string& path) -> std::string {
    s.config.options.cost_model = path;
    try {
      find_costs(s.config, s.key, {}, s.warn);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  CHECK(error("no/such/file.json") == "no/such/file.json: cannot be read");
  CHECK(error("tests") == "tests: a folder; expected a cost model's file");
  CHECK(error("tests/data/models/tiny_bpe.gguf").find("expected a cost model") !=
        std::string::npos);
  const TempFile file("{}");
  CHECK(error(file.path()) == file.path() +
                                  ": \"schema\" is missing; expected a cost model "
                                  "(docs/formats.md)");
}

TEST_CASE("the cache's folder is the one that the environment names") {
  const char* const names[] = {"PREFOLD_CACHE", "XDG_CACHE_HOME", "HOME"};
  std::vector<std::optional<std::string>> before;
  for (const char* name : names) {
    const char* value = getenv(name);
    before.push_back(value == nullptr ? std::nullopt : std::optional<std::string>(value));
  }
  setenv("PREFOLD_CACHE", "/a", 1);
  setenv("XDG_CACHE_HOME", "/b", 1);
  setenv("HOME", "/c", 1);
  CHECK(cache_folder() == "/a");
  setenv("PREFOLD_CACHE", "", 1);
  CHECK(cache_folder() == "/b/prefold");
  unsetenv("XDG_CACHE_HOME");
  CHECK(cache_folder() == "/c/.cache/prefold");
  unsetenv("HOME");
  CHECK(cache_folder().empty());
  for (size_t i = 0; i < before.size(); ++i) {
    before[i] ? setenv(names[i], before[i]->c_str(), 1) : unsetenv(names[i]);
  }
}
