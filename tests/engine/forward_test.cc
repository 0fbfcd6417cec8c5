// The forward pass as a whole; what it computes is compared with transformers in tests/e2e.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>

#include "engine/kv_storage.h"
#include "model/model_file.h"
#include "model/rope.h"
#include "model/transformer.h"

using namespace prefold;

namespace {

constexpr int32_t kPositions = 64;

// A model with the keys and values of a prefix of one block.
struct Prefilled {
  explicit Prefilled(const char* path, ThreadPool& pool)
      : model(open_model(path)),
        weights(load_weights(model, pool)),
        ropes(make_rope_tables(model.config, kPositions, kPositions)),
        device{&pool, &find_cpu_kernels("auto"), Precision::kExact},
        kv({KvType::kF32, model.config.n_layers, model.config.n_kv_heads, model.config.head_dim},
           3),
        workspace(allocate_workspace(device, model.config, weights, kKvBlockTokens)) {
    for (int32_t i = 0; i < model.config.n_layers; ++i) layers.push_back(kv.layer(i));
    std::vector<int32_t> ids(kKvBlockTokens), positions(kKvBlockTokens);
    std::iota(ids.begin(), ids.end(), 20);
    std::iota(positions.begin(), positions.end(), 0);
    const std::vector<RowSpan> spans{{0, kKvBlockTokens, 0, 0, 1}};
    const std::vector<int32_t> blocks{0};
    const ConstRows hidden = run({ids, positions, spans, blocks, {}, {}, {}});
    CHECK(hidden.n_rows == 0);  // nobody wants to know
  }

  ConstRows run(const PackedRows& rows) {
    OpTimes times;
    return forward(device, model.config, weights, ropes, rows, layers, workspace, times);
  }

  ModelFile model;
  Weights weights;
  std::vector<RopeTable> ropes;
  Device device;
  KvStorage kv;
  std::vector<KvLayer> layers;
  Workspace workspace;
};

}  // namespace

TEST_CASE("rows that the last layer leaves out change nothing of those that it keeps") {
  ThreadPool pool(2);
  for (const char* path :
       {"tests/data/models/tiny_bpe.gguf", "tests/data/models/gemma2", "tests/data/models/gpt_neox",
        "tests/data/models/phi", "tests/data/models/olmo2", "tests/data/models/qwen2_moe"}) {
    CAPTURE(path);
    Prefilled prefilled(path, pool);
    // Two sequences go on behind the prefix, with five and three rows.
    const std::vector<int32_t> ids{40, 41, 42, 43, 44, 50, 51, 52};
    const std::vector<int32_t> positions{32, 33, 34, 35, 36, 32, 33, 34};
    const std::vector<RowSpan> spans{{0, 5, 32, 0, 2}, {5, 3, 32, 2, 2}};
    const std::vector<int32_t> blocks{0, 1, 0, 2};
    const std::vector<SharedSegment> segments{{0, 1, 0, 2}};
    const auto run = [&](const std::vector<int32_t>& wanted) {
      const ConstRows hidden = prefilled.run({ids, positions, spans, blocks, segments, {}, wanted});
      REQUIRE(hidden.n_rows == std::ssize(wanted));
      std::vector<std::vector<float>> rows;
      for (int32_t row = 0; row < hidden.n_rows; ++row) {
        rows.emplace_back(hidden.row(row), hidden.row(row) + hidden.n_cols);
      }
      return rows;
    };
    const auto all = run({0, 1, 2, 3, 4, 5, 6, 7});
    for (const std::vector<int32_t>& wanted :
         {std::vector<int32_t>{4, 7}, {0, 2, 3, 6}, {5}, {1, 2, 3, 4}}) {
      const auto some = run(wanted);
      for (size_t i = 0; i < wanted.size(); ++i) {
        const std::vector<float>& other = all[static_cast<size_t>(wanted[i])];
        CHECK(std::memcmp(some[i].data(), other.data(), other.size() * sizeof(float)) == 0);
      }
    }
  }
}
