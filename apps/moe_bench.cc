// kernel_bench moe: for each shape and number of rows the best time of moe_layer() with rows
// grouped by expert and with each row's experts by themselves (--moe-grouping), both in turn, and
// the rate of the experts' products. Router weights are random, so that rows spread over all
// experts.
#include "apps/moe_bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/timer.h"
#include "model/buffers.h"
#include "model/moe_layer.h"

namespace prefold {
namespace {

struct Shape {
  const char* name;
  int32_t hidden_size;
  MoeConfig moe;
};

constexpr Shape kShapes[] = {
    {"olmoe", 2048, {64, 8, 1024, 0, false, false}},
    {"qwen3.30b", 2048, {128, 8, 768, 0, false, true}},
};

struct Options {
  std::string isa = "auto";
  int32_t n_threads = usable_thread_count();
  std::vector<std::string> shapes;
  std::vector<int32_t> rows{1, 8, 64, 256, 512};
  Precision precision = Precision::kExact;
  int32_t reps = 5;
  bool json = false;
};

// Q4_1 blocks whose scales are small ordinary numbers.
Linear random_q4_1(int32_t n_out, int32_t n_in, ThreadPool& pool, std::mt19937_64& rng) {
  const TensorTypeTraits& traits = traits_of(TensorType::kQ4_1);
  std::vector<std::byte> rows(static_cast<size_t>(stored_bytes(traits, int64_t{n_out} * n_in)));
  for (std::byte& byte : rows) byte = static_cast<std::byte>(0x20 + (rng() >> 40) % 0x0c);
  return {PackedMatrix(TensorType::kQ4_1, rows, n_out, n_in, pool), {}};
}

MoeWeights random_weights(const Shape& shape, ThreadPool& pool, std::mt19937_64& rng) {
  MoeWeights weights;
  const MoeConfig& moe = shape.moe;
  std::vector<float> router(static_cast<size_t>(moe.n_experts) *
                            static_cast<size_t>(shape.hidden_size));
  for (float& value : router) value = static_cast<float>(rng() >> 40) * 0x1p-24f - 0.5f;
  weights.router.weight = PackedMatrix(TensorType::kF32, std::as_bytes(std::span(router)),
                                       moe.n_experts, shape.hidden_size, pool);
  for (int32_t e = 0; e < moe.n_experts; ++e) {
    weights.gate.push_back(random_q4_1(moe.ffn_size, shape.hidden_size, pool, rng));
    weights.up.push_back(random_q4_1(moe.ffn_size, shape.hidden_size, pool, rng));
    weights.down.push_back(random_q4_1(shape.hidden_size, moe.ffn_size, pool, rng));
  }
  return weights;
}

// Best seconds with grouping on and off.
std::pair<double, double> time_layer(const Options& options, const Shape& shape,
                                     const MoeWeights& weights, int32_t n_rows, ThreadPool& pool,
                                     std::mt19937_64& rng) {
  Device device{&pool, &find_cpu_kernels(options.isa), options.precision};
  ModelConfig config;
  config.hidden_size = shape.hidden_size;
  config.moe = shape.moe;
  MoeBuffers buffers = allocate_moe_buffers(shape.moe, shape.hidden_size, n_rows);
  std::vector<std::byte> scratch(moe_scratch_bytes(device, shape.moe, shape.hidden_size, n_rows));
  AlignedVector<float> x(floats_of(n_rows, shape.hidden_size)), out(x.size());
  for (float& value : x) value = static_cast<float>(rng() >> 40) * 0x1p-24f - 0.5f;
  double best[2] = {std::numeric_limits<double>::infinity(),
                    std::numeric_limits<double>::infinity()};
  for (int32_t rep = -1; rep < options.reps; ++rep) {
    for (const MoeGrouping grouping : {MoeGrouping::kGrouped, MoeGrouping::kOff}) {
      device.moe_grouping = grouping;
      const Timer timer;
      moe_layer(device, config, weights, view(x, n_rows, shape.hidden_size), buffers, scratch,
                view(out, n_rows, shape.hidden_size));
      double& seconds = best[grouping == MoeGrouping::kOff ? 1 : 0];
      if (rep >= 0) seconds = std::min(seconds, timer.seconds());  // -1: warm-up
    }
  }
  return {best[0], best[1]};
}

void run(const Options& options) {
  ThreadPool pool(options.n_threads);
  std::mt19937_64 rng(1);
  for (const Shape& shape : kShapes) {
    const bool wanted =
        options.shapes.empty() || std::any_of(options.shapes.begin(), options.shapes.end(),
                                              [&](const auto& s) { return s == shape.name; });
    if (!wanted) continue;
    const MoeWeights weights = random_weights(shape, pool, rng);
    for (const int32_t n_rows : options.rows) {
      const auto [on_s, off_s] = time_layer(options, shape, weights, n_rows, pool, rng);
      const double flops = 6.0 * shape.hidden_size * shape.moe.ffn_size * shape.moe.n_used * n_rows;
      if (options.json) {
        fmt::print("{}\n", nlohmann::json{{"shape", shape.name},
                                          {"rows", n_rows},
                                          {"grouped_us", on_s * 1e6},
                                          {"off_us", off_s * 1e6},
                                          {"grouped_gflops", flops / on_s * 1e-9}}
                               .dump());
      } else {
        fmt::print(
            "{:10} {:4} rows  grouped {:9.1f} us {:7.1f} GFLOP/s  off {:9.1f} us  {:.2f} x\n",
            shape.name, n_rows, on_s * 1e6, flops / on_s * 1e-9, off_s * 1e6, off_s / on_s);
      }
      std::fflush(stdout);
    }
  }
}

}  // namespace

int moe_bench(int argc, char** argv) {
  Options options;
  CLI::App app("Times a layer of experts with its rows grouped by expert and row by row.");
  app.add_option("--isa", options.isa, "scalar, avx2, avxvnni, avx512, avx512vnni or auto");
  app.add_option("--precision", options.precision, "exact or fast")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Precision>{
          {"exact", Precision::kExact}, {"fast", Precision::kFast}}));
  app.add_option("--threads", options.n_threads)->check(CLI::Range(1, 1024));
  app.add_option("--shapes", options.shapes, "olmoe, qwen3.30b");
  app.add_option("--rows", options.rows)->check(CLI::Range(1, 1 << 14));
  app.add_option("--reps", options.reps)->check(CLI::Range(1, 10000));
  app.add_flag("--json", options.json, "JSON lines");
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
  return 0;
}

}  // namespace prefold
