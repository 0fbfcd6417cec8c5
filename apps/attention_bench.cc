// Four tables, of one layer of a model's attention:
//   shared   decode rows of members over a shared prefix, and what reading it flat takes
//   prefill  chunks of prompts: causal, with nothing shared
//   decode   one row a sequence: keys and values from memory
//   walk     the kernel alone, one KV head, one thread, tiles in cache: its cost by (row, head)
//   pairs
// The KV cache has as many layers as make it larger than the processor's caches; they take turns.
#include "apps/attention_bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "apps/kernel_options.h"
#include "apps/machine_peaks.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/attention.h"

namespace prefold {
namespace {

struct Options : TimingOptions, AttentionOptions {};

// The best time of several calls, a first one not counted.
template <typename Fn>
double best_seconds(const Options& options, Fn&& fn) {
  fn();
  double best = 1e30;
  double total = 0.0;
  for (int32_t rep = 0; rep < options.reps || total < options.min_ms * 1e-3; ++rep) {
    const double begin = now_s(options.cpu_time);
    fn();
    const double seconds = now_s(options.cpu_time) - begin;
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

// Of one thread, by its processor time.
double measure_read_bytes_per_cpu_s(const Options& options) {
  const std::vector<uint64_t> words(size_t{16} << 20, 1);
  volatile uint64_t sink = 0;
  const double seconds = best_seconds(
      options, [&] { sink = std::accumulate(words.begin(), words.end(), uint64_t{0}); });
  (void)sink;
  return static_cast<double>(words.size() * sizeof(uint64_t)) / seconds;
}

// A step of attention: spans of equal shape, the first n_shared positions of all in one segment.
struct Step {
  std::vector<RowSpan> spans;
  std::vector<int32_t> block_ids;
  std::vector<SharedSegment> segments;
  int32_t n_rows = 0;
  int32_t n_blocks = 0;
  double attended = 0.0;  // positions that a row sees, summed over rows
};

// n_shared is a multiple of the tile and at most first_position.
Step make_step(int32_t n_spans, int32_t n_rows, int32_t first_position, int32_t n_shared) {
  Step step;
  const int32_t n_shared_blocks = n_shared / kKvBlockTokens;
  const int32_t n_blocks = (first_position + n_rows - 1) / kKvBlockTokens + 1;
  step.n_blocks = n_shared_blocks;
  for (int32_t i = 0; i < n_spans; ++i) {
    step.spans.push_back({step.n_rows, n_rows, first_position,
                          static_cast<int32_t>(step.block_ids.size()), n_blocks});
    for (int32_t b = 0; b < n_blocks; ++b) {
      step.block_ids.push_back(b < n_shared_blocks ? b : step.n_blocks++);
    }
    step.n_rows += n_rows;
    step.attended += n_rows * (first_position + (n_rows + 1) / 2.0);
  }
  if (n_shared > 0) step.segments.push_back({0, n_shared_blocks, 0, n_spans});
  return step;
}

std::vector<float> random_values(size_t n) {
  std::mt19937 rng(1);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng() >> 8) * 0x1p-23f - 1.0f;
  return values;
}

// KV layers for a step, filled, larger together than the caches.
class Cache {
 public:
  Cache(const Options& options, const Device& device, int32_t n_blocks) {
    const size_t block_bytes =
        kv_block_bytes(options.kv_type, options.n_kv_heads, options.head_dim);
    const size_t layer_bytes = 2 * block_bytes * n_blocks;
    const size_t n_layers = (static_cast<size_t>(options.cold_mib) << 20) / layer_bytes + 1;
    constexpr size_t kAlignment = 64;
    memory_.resize(n_layers * layer_bytes + kAlignment);
    void* at = memory_.data();
    size_t room = memory_.size();
    std::align(kAlignment, n_layers * layer_bytes, at, room);
    const int32_t n_cols = options.n_kv_heads * options.head_dim;
    const int32_t n_positions = n_blocks * kKvBlockTokens;
    const std::vector<float> rows = random_values(static_cast<size_t>(n_positions) * n_cols);
    const ConstRows kv_rows{rows.data(), n_positions, n_cols, n_cols};
    std::vector<int32_t> block_ids(n_blocks);
    std::iota(block_ids.begin(), block_ids.end(), 0);
    const RowSpan all{0, n_positions, 0, 0, n_blocks};
    for (size_t layer = 0; layer < n_layers; ++layer) {
      std::byte* k = static_cast<std::byte*>(at) + layer * layer_bytes;
      layers_.push_back({options.kv_type, options.n_kv_heads, options.head_dim, k, k + block_bytes,
                         2 * block_bytes});
      kv_append(device, kv_rows, kv_rows, {&all, 1}, block_ids, layers_.back());
    }
  }
  const KvLayer& next() { return layers_[turn_++ % layers_.size()]; }

 private:
  std::vector<std::byte> memory_;
  std::vector<KvLayer> layers_;
  size_t turn_ = 0;
};

double time_step(const Options& options, const Device& device, const Step& step, Cache& cache,
                 bool shared) {
  const int32_t n_cols = options.n_heads * options.head_dim;
  const std::vector<float> q = random_values(static_cast<size_t>(step.n_rows) * n_cols);
  std::vector<float> out(q.size());
  constexpr size_t kAlignment = 64;
  const size_t n_bytes =
      attention_scratch_bytes(device, step.n_rows, options.n_heads, options.head_dim);
  std::vector<std::byte> memory(n_bytes + kAlignment);
  void* scratch = memory.data();
  size_t room = memory.size();
  std::align(kAlignment, n_bytes, scratch, room);
  const std::span<const SharedSegment> segments =
      shared ? std::span(step.segments) : std::span<const SharedSegment>();
  return best_seconds(options, [&] {
    attention(device, {q.data(), step.n_rows, n_cols, n_cols}, cache.next(), step.spans,
              step.block_ids, segments, {1.0f / std::sqrt(static_cast<float>(options.head_dim))},
              {static_cast<std::byte*>(scratch), n_bytes},
              {out.data(), step.n_rows, n_cols, n_cols});
  });
}

// One line of a table: text for people, or its fields as JSON.
void print_line(const Options& options, const std::string& text, const nlohmann::json& fields) {
  fmt::print("{}\n", options.json ? fields.dump() : text);
  std::fflush(stdout);
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        pool_(options.n_threads),
        device_{&pool_, &find_cpu_kernels(options.isa), options.precision} {
    measure_peak();
    read_bytes_per_s_ = options_.cpu_time ? measure_read_bytes_per_cpu_s(options_)
                                          : measure_read_bytes_per_s(pool_);
    print_line(options_,
               fmt::format("{}, {} threads: multiply-add peak {:.1f} GFLOP/s, memory read {:.1f} "
                           "GB/s; {} heads, {} KV heads of {}",
                           device_.kernels->isa, options_.n_threads, peak_flops_ * 1e-9,
                           read_bytes_per_s_ * 1e-9, options_.n_heads, options_.n_kv_heads,
                           options_.head_dim),
               {{"isa", device_.kernels->isa},
                {"threads", options_.n_threads},
                {"peak_gflops", peak_flops_ * 1e-9},
                {"read_gb_per_s", read_bytes_per_s_ * 1e-9}});
  }

  void shared() {
    for (const int32_t prefix : options_.prefixes) {
      for (const int32_t n_members : options_.members) {
        constexpr int32_t kOwn = 16;  // positions of a member's own before its row
        const Step step = make_step(n_members, 1, prefix + kOwn, prefix);
        Cache cache(options_, device_, step.n_blocks);
        const double shared_s = time_step(options_, device_, step, cache, true);
        const double flat_s = time_step(options_, device_, step, cache, false);
        print_line(
            options_,
            fmt::format("shared   prefix {:5} x {:3} members: {:9.1f} us {:5.1f} % peak; flat "
                        "{:9.1f} us, {:.2f} x",
                        prefix, n_members, shared_s * 1e6, 100.0 * share_of_peak(step, shared_s),
                        flat_s * 1e6, flat_s / shared_s),
            {{"table", "shared"},
             {"prefix", prefix},
             {"members", n_members},
             {"us", shared_s * 1e6},
             {"flat_us", flat_s * 1e6},
             {"share_of_peak", share_of_peak(step, shared_s)}});
      }
    }
  }

  void prefill() {
    struct Chunk {
      int32_t n_spans, n_rows, first_position;
    };
    for (const Chunk& chunk : {Chunk{1, 512, 0}, Chunk{1, 512, 512}, Chunk{1, 512, 1536},
                               Chunk{4, 128, 0}, Chunk{16, 32, 0}, Chunk{64, 8, 0}}) {
      const Step step = make_step(chunk.n_spans, chunk.n_rows, chunk.first_position, 0);
      Cache cache(options_, device_, step.n_blocks);
      const double seconds = time_step(options_, device_, step, cache, false);
      print_line(options_,
                 fmt::format("prefill  {:2} x {:3} rows from position {:4}: {:9.1f} us {:5.1f} % "
                             "peak",
                             chunk.n_spans, chunk.n_rows, chunk.first_position, seconds * 1e6,
                             100.0 * share_of_peak(step, seconds)),
                 {{"table", "prefill"},
                  {"prompts", chunk.n_spans},
                  {"rows", chunk.n_rows},
                  {"first_position", chunk.first_position},
                  {"us", seconds * 1e6},
                  {"share_of_peak", share_of_peak(step, seconds)}});
    }
  }

  void decode() {
    for (const int32_t n_positions : {16, 48, 128, 512}) {
      const Step step = make_step(64, 1, n_positions - 1, 0);
      Cache cache(options_, device_, step.n_blocks);
      const double seconds = time_step(options_, device_, step, cache, false);
      const double bytes = 2.0 * step.attended * options_.n_kv_heads * options_.head_dim *
                           static_cast<double>(kv_element_bytes(options_.kv_type));
      print_line(options_,
                 fmt::format("decode   64 x {:3} positions: {:9.1f} us {:5.1f} GB/s, {:5.1f} % of "
                             "the memory's",
                             n_positions, seconds * 1e6, bytes / seconds * 1e-9,
                             100.0 * bytes / seconds / read_bytes_per_s_),
                 {{"table", "decode"},
                  {"positions", n_positions},
                  {"us", seconds * 1e6},
                  {"gb_per_s", bytes / seconds * 1e-9}});
    }
  }

  void walk() {
    const int32_t n_group = options_.n_heads / options_.n_kv_heads;
    ThreadPool one(1);
    const Device device{&one, device_.kernels};
    Options cached = options_;
    cached.cold_mib = 0;
    for (const int32_t n_tiles : {8, 64}) {
      Cache cache(cached, device, n_tiles);
      for (const int32_t n_pairs : {3, 6, 12, 24, 48, 96}) {
        const int32_t n_rows = n_pairs / n_group;
        if (n_rows == 0) continue;
        const double seconds = time_walk(cache.next(), n_rows, n_tiles);
        print_line(options_,
                   fmt::format("walk     {:2} tiles, {:2} pairs: {:7.1f} ns a tile", n_tiles,
                               n_rows * n_group, seconds * 1e9 / n_tiles),
                   {{"table", "walk"},
                    {"tiles", n_tiles},
                    {"pairs", n_rows * n_group},
                    {"ns_per_tile", seconds * 1e9 / n_tiles}});
      }
    }
  }

 private:
  void measure_peak() {
    peak_flops_ = std::max(
        peak_flops_, measure_multiply_add_flops(device_.kernels->isa, Precision::kExact, pool_));
  }

  // The machine's clock and its other users change: the peak is the best seen so far.
  double share_of_peak(const Step& step, double seconds) {
    measure_peak();
    return 4.0 * step.attended * options_.n_heads * options_.head_dim / seconds / peak_flops_;
  }

  double time_walk(const KvLayer& kv, int32_t n_rows, int32_t n_tiles) {
    const int32_t n_group = options_.n_heads / options_.n_kv_heads;
    const std::vector<float> q =
        random_values(static_cast<size_t>(n_rows) * options_.n_heads * options_.head_dim);
    std::vector<int32_t> block_ids(n_tiles);
    std::iota(block_ids.begin(), block_ids.end(), 0);
    std::vector<float> max(kMaxWalkRows), sum(kMaxWalkRows);
    std::vector<float> acc(size_t{kMaxWalkRows} * padded_head_dim(options_.head_dim));
    AttentionWalk walk{};
    walk.q = q.data();
    walk.q_stride = int64_t{options_.n_heads} * options_.head_dim;
    walk.n_rows = n_rows;
    walk.n_group = n_group;
    walk.head_dim = options_.head_dim;
    walk.scale = 1.0f / std::sqrt(static_cast<float>(options_.head_dim));
    walk.type = kv.type;
    walk.k = kv.k;
    walk.v = kv.v;
    walk.block_stride = kv.block_stride;
    walk.block_ids = block_ids.data();
    walk.end_tile = n_tiles;
    walk.chunk = {max.data(), sum.data(), acc.data()};
    return best_seconds(options_, [&] { attention_walk(device_, kv.type)(walk); });
  }

  Options options_;
  ThreadPool pool_;
  Device device_;
  double peak_flops_ = 0.0;
  double read_bytes_per_s_ = 0.0;
};

}  // namespace

int attention_bench(int argc, char** argv) {
  Options options;
  CLI::App app("Times attention against this machine's measured peaks.", "kernel_bench attention");
  options.prefixes = {256, 2048};
  options.members = {1, 4, 16, 64};
  add_timing_options(app, options);
  add_attention_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    check_attention_options(options);
    Bench bench(options);
    bench.shared();
    bench.prefill();
    bench.decode();
    bench.walk();
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
  return 0;
}

}  // namespace prefold
