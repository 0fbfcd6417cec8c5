// segment_bench: what reading a shared prefix once brings to attention (Hydragen's axes, arXiv
// 2402.05099), and where a cost model says that it begins to pay.
//
// For each length of the prefix and number of members, a step in which every member decodes one row
// behind the prefix and some tokens of its own is run with a shared segment and without, in turn;
// printed is the ratio of the medians. Processor time of one thread, so that other programs disturb
// little.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "apps/kernel_options.h"
#include "base/aligned_vector.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/attention.h"
#include "plan/segments.h"

namespace prefold {
namespace {

struct Options : AttentionOptions {
  std::string isa = "auto";
  std::string cost_model;
  int32_t own_tokens = 64;
  int32_t reps = 9;
};

// Members that decode at the end of tables with a common beginning.
struct Step {
  std::vector<RowSpan> spans;
  std::vector<int32_t> block_ids;
  std::vector<SharedSegment> segments;
  int32_t n_blocks = 0;  // in use

  int32_t n_rows() const { return static_cast<int32_t>(spans.size()); }
};

Step make_step(int32_t n_prefix_tokens, int32_t n_members, int32_t n_own_tokens) {
  const int32_t n_prefix = n_prefix_tokens / kKvBlockTokens;
  const int32_t n_own = (n_own_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  Step step;
  for (int32_t i = 0; i < n_members; ++i) {
    step.spans.push_back({i, 1, n_prefix * kKvBlockTokens + n_own_tokens - 1,
                          static_cast<int32_t>(step.block_ids.size()), n_prefix + n_own});
    for (int32_t b = 0; b < n_prefix; ++b) step.block_ids.push_back(b);
    for (int32_t b = 0; b < n_own; ++b) step.block_ids.push_back(n_prefix + i * n_own + b);
  }
  step.segments.push_back({0, n_prefix, 0, n_members});
  step.n_blocks = n_prefix + n_members * n_own;
  return step;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Time without the segment over time with it.
double time_ratio(const Options& options, const Device& device, const Step& step) {
  const size_t block_bytes = kv_block_bytes(options.kv_type, options.n_kv_heads, options.head_dim);
  AlignedVector<std::byte> kv(2 * block_bytes * step.n_blocks);
  std::memset(kv.data(), 0x3c, kv.size());  // small ordinary numbers in every KV type
  const KvLayer layer{options.kv_type, options.n_kv_heads,      options.head_dim,
                      kv.data(),       kv.data() + block_bytes, 2 * block_bytes};
  const int32_t n_cols = options.n_heads * options.head_dim;
  AlignedVector<float> q(static_cast<size_t>(step.n_rows()) * n_cols, 0.01f), out(q.size());
  AlignedVector<std::byte> scratch(
      attention_scratch_bytes(device, step.n_rows(), options.n_heads, options.head_dim));
  const auto seconds = [&](std::span<const SharedSegment> segments) {
    const double begin = now_s(true);
    attention(device, {q.data(), step.n_rows(), n_cols, n_cols}, layer, step.spans, step.block_ids,
              segments, {0.1f}, scratch, {out.data(), step.n_rows(), n_cols, n_cols});
    return now_s(true) - begin;
  };
  std::vector<double> flat, shared;
  for (int32_t rep = -1; rep < options.reps; ++rep) {
    const double flat_s = seconds({});
    const double shared_s = seconds(step.segments);
    if (rep < 0) continue;  // warm-up
    flat.push_back(flat_s);
    shared.push_back(shared_s);
  }
  return median(flat) / median(shared);
}

void print_ratios(const Options& options) {
  ThreadPool pool(1);
  const Device device{&pool, &find_cpu_kernels(options.isa), Precision::kExact};
  fmt::print("flat time / shared time ({}, {} heads of {} over {} KV heads)\n\n| prefix |",
             device.kernels->isa, options.n_heads, options.head_dim, options.n_kv_heads);
  for (const int32_t n : options.members) fmt::print(" {:>5} |", n);
  fmt::print("\n|-------:|");
  for (size_t i = 0; i < options.members.size(); ++i) fmt::print("------:|");
  for (const int32_t prefix : options.prefixes) {
    fmt::print("\n| {:>6} |", prefix);
    for (const int32_t n : options.members) {
      fmt::print(" {:>5.2f} |",
                 time_ratio(options, device, make_step(prefix, n, options.own_tokens)));
      std::fflush(stdout);
    }
  }
  fmt::print("\n");
}

// The shortest prefix, in whole blocks, that the cost model has read once for so many members.
void print_break_even(const Options& options) {
  std::ifstream file(options.cost_model, std::ios::binary);
  if (!file) throw Error(fmt::format("--cost-model {}: cannot be read", options.cost_model));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const AttentionCosts costs = parse_cost_model(text, options.cost_model).attention;
  constexpr int32_t kLongest = 1 << 17;
  fmt::print("\n| members | shortest prefix that pays, tokens |\n|--------:|--:|\n");
  SegmentScratch scratch;
  std::vector<SharedSegment> segments;
  for (const int32_t n : options.members) {
    int32_t tokens = 0;
    do {
      tokens += kKvBlockTokens;
      const Step step = make_step(tokens, n, options.own_tokens);
      choose_segments(step.spans, step.block_ids, costs, options.n_heads / options.n_kv_heads,
                      scratch, segments);
    } while (n > 1 && segments.empty() && tokens < kLongest);
    fmt::print("| {:>7} | {} |\n", n, segments.empty() ? "none" : std::to_string(tokens));
  }
}

}  // namespace
}  // namespace prefold

int main(int argc, char** argv) {
  prefold::Options options;
  CLI::App app("Times attention over a shared prefix, read once and read by each member.");
  options.prefixes = {256, 512, 1024, 2048, 4096, 8192};
  options.members = {1, 2, 4, 8, 16, 32, 64};
  prefold::add_isa_and_reps(app, options.isa, options.reps);
  prefold::add_attention_options(app, options);
  app.add_option("--cost-model", options.cost_model, "also print where it says sharing pays");
  app.add_option("--own-tokens", options.own_tokens, "of each member behind the prefix")
      ->check(CLI::Range(1, 1 << 16));
  CLI11_PARSE(app, argc, argv);
  try {
    prefold::check_attention_options(options);
    prefold::print_ratios(options);
    if (!options.cost_model.empty()) prefold::print_break_even(options);
  } catch (const prefold::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
  return 0;
}
