// kernel_bench attention: see attention_bench.cc.
// kernel_bench moe: see moe_bench.cc.
// kernel_bench --device cuda: see cuda_bench.cc.
// kernel_bench: the matrix product's share of what this machine can do, measured in the same run.
//
// For each shape, weight type and number of rows: the best and the median time of linear(), its
// rate, and its share of the roofline: the least time that the peak of multiply-adds (f32, or of
// bytes with --precision fast), the memory bandwidth and, for f32, the rate of expanding packed
// weights allow (whichever is largest). With --precision fast also its rate over that of exact.
// Where the build found OpenBLAS or oneDNN, their rates for the same product of plain weights.
// Weights are read from memory: copies of the matrix larger than the caches are used in turn.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "apps/attention_bench.h"
#include "apps/cuda_bench.h"
#include "apps/kernel_options.h"
#include "apps/machine_peaks.h"
#include "apps/moe_bench.h"
#include "apps/peer_products.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/cpu/panel.h"
#include "ops/linear.h"

namespace prefold {
namespace {

struct Shape {
  std::string name;
  int32_t n_in;
  int32_t n_out;
};

const std::vector<Shape> kShapes{
    {"smollm2.q", 576, 576},     {"smollm2.kv", 576, 192},     {"smollm2.gate", 576, 1536},
    {"smollm2.down", 1536, 576}, {"smollm2.head", 576, 49152}, {"1b.attn", 2048, 2048},
    {"1b.up", 2048, 8192},       {"7b.up", 4096, 14336},
};

struct Options : TimingOptions {
  std::vector<std::string> shapes;
  std::vector<std::string> types{"Q4_1", "Q8_0", "Q4_K", "Q6_K", "F16"};
  std::vector<int32_t> rows{1, 2, 4, 8, 16, 32, 64, 256, 512};
};

struct Sample {
  double best_s = 0.0;
  double median_s = 0.0;
};

TensorType type_named(const std::string& name) {
  for (int64_t number = 0; number < 64; ++number) {
    const TensorTypeTraits* traits = find_tensor_type(number);
    if (traits != nullptr && traits->name == name) return traits->type;
  }
  throw Error(fmt::format("--types {}: no such tensor type; expected F32, F16, Q4_1, ...", name));
}

// Stored rows whose every field is an ordinary number: bytes below 0x3c keep floats and scales of
// every format small and finite.
std::vector<std::byte> random_rows(TensorType type, int64_t n_elements, std::mt19937_64& rng) {
  std::vector<std::byte> bytes(static_cast<size_t>(stored_bytes(traits_of(type), n_elements)));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(0x20 + (rng() >> 40) % 0x1c);
  return bytes;
}

std::vector<PackedMatrix> packed_copies(TensorType type, const Shape& shape, int32_t cold_mib,
                                        ThreadPool& pool, std::mt19937_64& rng) {
  const std::vector<std::byte> rows = random_rows(type, int64_t{shape.n_in} * shape.n_out, rng);
  std::vector<PackedMatrix> copies;
  const size_t wanted = static_cast<size_t>(cold_mib) << 20;
  do {
    copies.emplace_back(type, rows, shape.n_out, shape.n_in, pool);
  } while (copies.size() * copies[0].bytes() < wanted);
  return copies;
}

// fn() again and again, once more to warm up.
template <typename Fn>
Sample time_calls(const Options& options, Fn fn) {
  std::vector<double> times;
  double total = 0.0;
  for (int32_t rep = -1; rep < options.reps || total < options.min_ms * 1e-3; ++rep) {
    const double begin = now_s(options.cpu_time);
    fn();
    const double seconds = now_s(options.cpu_time) - begin;
    if (rep < 0) continue;  // warm-up
    times.push_back(seconds);
    total += seconds;
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

Sample time_linear(const Device& device, const std::vector<PackedMatrix>& weights, int32_t n_rows,
                   const Options& options, std::mt19937_64& rng) {
  const int32_t n_in = weights[0].n_in();
  const int32_t n_out = weights[0].n_out();
  const int64_t x_stride = padded_stride(n_in), out_stride = padded_stride(n_out);
  std::vector<float> x(static_cast<size_t>(n_rows * x_stride));
  for (float& value : x) value = static_cast<float>(rng() >> 40) * 0x1p-24f - 0.5f;
  std::vector<float> out(static_cast<size_t>(n_rows * out_stride));
  std::vector<std::byte> scratch(linear_scratch_bytes(device, n_rows, n_in));
  LinearPart part;
  part.out = {out.data(), n_rows, n_out, out_stride};
  size_t copy = 0;
  return time_calls(options, [&] {
    part.weight = &weights[copy++ % weights.size()];
    linear(device, {x.data(), n_rows, n_in, x_stride}, {&part, 1}, scratch);
  });
}

// Rates of the other libraries, by their best times.
using PeerFlops = std::vector<std::pair<std::string, double>>;
PeerFlops time_peers(const Options& options, const Shape& shape, int32_t n_rows) {
  PeerFlops rates;
  for (const PeerProduct& peer :
       peer_products(options.precision, options.n_threads, n_rows, shape.n_in, shape.n_out,
                     int64_t{options.cold_mib} << 20)) {
    rates.emplace_back(peer.library, 2.0 * shape.n_in * shape.n_out * n_rows /
                                         time_calls(options, peer.run).best_s);
  }
  return rates;
}

void print_result(const Options& options, const MachinePeaks& peaks, const Shape& shape,
                  const std::string& type, int32_t n_rows, size_t bytes, const Sample& sample,
                  double over_exact, const PeerFlops& peers) {
  const double weights = static_cast<double>(shape.n_in) * shape.n_out;
  const double flops = 2.0 * weights * n_rows;
  const double peak_s = flops / peaks.multiply_add_flops;
  const double floor_s = std::max({peak_s, static_cast<double>(bytes) / peaks.read_bytes_per_s,
                                   weights / peaks.expanded_weights_per_s});
  if (options.json) {
    nlohmann::json peer_gflops = nlohmann::json::object();
    for (const auto& [library, peer_flops] : peers) peer_gflops[library] = peer_flops * 1e-9;
    fmt::print("{}\n",
               nlohmann::json{{"shape", shape.name},
                              {"n_in", shape.n_in},
                              {"n_out", shape.n_out},
                              {"type", type},
                              {"rows", n_rows},
                              {"best_us", sample.best_s * 1e6},
                              {"median_us", sample.median_s * 1e6},
                              {"gflops", flops / sample.best_s * 1e-9},
                              {"gb_per_s", static_cast<double>(bytes) / sample.best_s * 1e-9},
                              {"share_of_peak", peak_s / sample.best_s},
                              {"rate_over_exact", over_exact},
                              {"peer_gflops", peer_gflops},
                              {"share_of_roofline", floor_s / sample.best_s}}
                   .dump());
  } else {
    std::string beside;
    if (options.precision == Precision::kFast) beside = fmt::format("  {:.2f} x exact", over_exact);
    for (const auto& [library, peer_flops] : peers) {
      beside += fmt::format("  {} {:.1f} GFLOP/s", library, peer_flops * 1e-9);
    }
    fmt::print(
        "{:13} {:5} x {:5}  {:5} {:4} rows  best {:9.1f} us  median {:9.1f} us  "
        "{:6.1f} GFLOP/s {:5.1f} GB/s {:5.1f} % peak {:5.1f} % roofline{}\n",
        shape.name, shape.n_in, shape.n_out, type, n_rows, sample.best_s * 1e6,
        sample.median_s * 1e6, flops / sample.best_s * 1e-9,
        static_cast<double>(bytes) / sample.best_s * 1e-9, 100.0 * peak_s / sample.best_s,
        100.0 * floor_s / sample.best_s, beside);
  }
  std::fflush(stdout);
}

void print_peaks(const Options& options, const Device& device, const MachinePeaks& peaks,
                 double single_flops) {
  if (options.json) {
    fmt::print("{}\n", nlohmann::json{{"isa", device.kernels->isa},
                                      {"threads", options.n_threads},
                                      {"peak_gflops_1_thread", single_flops * 1e-9},
                                      {"peak_gflops", peaks.multiply_add_flops * 1e-9},
                                      {"read_gb_per_s", peaks.read_bytes_per_s * 1e-9}}
                           .dump());
  } else {
    fmt::print(
        "{}, {} threads: multiply-add peak {:.1f} GFLOP/s ({:.1f} with one thread), memory read "
        "{:.1f} GB/s\n",
        device.kernels->isa, options.n_threads, peaks.multiply_add_flops * 1e-9,
        single_flops * 1e-9, peaks.read_bytes_per_s * 1e-9);
  }
}

bool wanted(const Options& options, const Shape& shape) {
  return options.shapes.empty() ||
         std::any_of(options.shapes.begin(), options.shapes.end(), [&](const std::string& part) {
           return shape.name.find(part) != std::string::npos;
         });
}

void run(const Options& options) {
  ThreadPool pool(options.n_threads);
  const Device device{&pool, &find_cpu_kernels(options.isa), options.precision};
  const Device exact{device.pool, device.kernels, Precision::kExact};
  std::mt19937_64 rng(1);
  ThreadPool one(1);
  const double single_flops =
      measure_multiply_add_flops(device.kernels->isa, options.precision, one);
  MachinePeaks peaks;
  peaks.multiply_add_flops =
      measure_multiply_add_flops(device.kernels->isa, options.precision, pool);
  peaks.read_bytes_per_s = measure_read_bytes_per_s(pool);
  print_peaks(options, device, peaks, single_flops);
  std::map<std::pair<std::string, int32_t>, PeerFlops> peer_rates;
  for (const Shape& shape : kShapes) {
    if (!wanted(options, shape)) continue;
    for (const std::string& name : options.types) {
      const TensorType type = type_named(name);
      if (shape.n_in % traits_of(type).block_elements != 0) continue;
      const std::vector<PackedMatrix> weights =
          packed_copies(type, shape, options.cold_mib, pool, rng);
      peaks.expanded_weights_per_s = options.precision == Precision::kExact
                                         ? measure_expanded_weights_per_s(device, type)
                                         : std::numeric_limits<double>::infinity();
      for (const int32_t n_rows : options.rows) {
        // The machine's clock and its other users change: the peak is the best seen so far.
        peaks.multiply_add_flops =
            std::max(peaks.multiply_add_flops,
                     measure_multiply_add_flops(device.kernels->isa, options.precision, pool));
        const Sample sample = time_linear(device, weights, n_rows, options, rng);
        double over_exact = 1.0;
        if (options.precision == Precision::kFast) {
          over_exact = time_linear(exact, weights, n_rows, options, rng).best_s / sample.best_s;
        }
        auto peers = peer_rates.find({shape.name, n_rows});  // the same for every weight type
        if (peers == peer_rates.end()) {
          peers =
              peer_rates.emplace(std::pair{shape.name, n_rows}, time_peers(options, shape, n_rows))
                  .first;
        }
        print_result(options, peaks, shape, name, n_rows, weights[0].bytes(), sample, over_exact,
                     peers->second);
      }
    }
  }
}

}  // namespace
}  // namespace prefold

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "attention") {
    return prefold::attention_bench(argc - 1, argv + 1);
  }
  if (argc > 1 && std::string(argv[1]) == "moe") return prefold::moe_bench(argc - 1, argv + 1);
  if (argc > 2 && std::string(argv[1]) == "--device" && std::string(argv[2]) == "cuda") {
#ifdef PREFOLD_CUDA
    return prefold::cuda_bench(argc - 2, argv + 2);
#else
    fmt::print(stderr, "error: --device cuda: this program was built without CUDA\n");
    return 2;
#endif
  }
  prefold::Options options;
  CLI::App app("Times prefold's kernels against this machine's measured peaks.");
  prefold::add_timing_options(app, options);
  app.add_option("--shapes", options.shapes, "only shapes whose names contain one of these");
  app.add_option("--types", options.types, "weight types");
  app.add_option("--rows", options.rows)->check(CLI::Range(1, 1 << 20));
  CLI11_PARSE(app, argc, argv);
  try {
    prefold::run(options);
  } catch (const prefold::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
  return 0;
}
