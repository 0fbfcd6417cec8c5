#include "apps/kernel_options.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <map>

#include "base/error.h"

namespace prefold {

void add_isa_and_reps(CLI::App& app, std::string& isa, int32_t& reps) {
  app.add_option("--isa", isa, "scalar, avx2, avxvnni, avx512, avx512vnni or auto");
  app.add_option("--reps", reps, "least repetitions of each")->check(CLI::Range(1, 10000));
}

void add_timing_options(CLI::App& app, TimingOptions& options) {
  add_isa_and_reps(app, options.isa, options.reps);
  app.add_option("--threads", options.n_threads)->check(CLI::Range(1, 1024));
  app.add_option("--precision", options.precision, "exact or fast")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Precision>{
          {"exact", Precision::kExact}, {"fast", Precision::kFast}}));
  app.add_option("--min-ms", options.min_ms, "least measured time of each");
  app.add_option("--cold-mib", options.cold_mib, "size of the data used in turn");
  app.add_flag_callback(
      "--cpu-time",
      [&options] {
        options.cpu_time = true;
        options.n_threads = 1;
      },
      "measure processor time, for a busy machine; implies --threads 1");
  app.add_flag("--json", options.json, "JSON lines");
}

void add_attention_options(CLI::App& app, AttentionOptions& options) {
  app.add_option("--heads", options.n_heads)->check(CLI::Range(1, 1024));
  app.add_option("--kv-heads", options.n_kv_heads)->check(CLI::Range(1, 1024));
  app.add_option("--head-dim", options.head_dim)->check(CLI::Range(1, kMaxHeadDim));
  app.add_option("--kv-type", options.kv_type, "f32, f16, bf16 or int8")
      ->transform(CLI::CheckedTransformer(std::map<std::string, KvType>{{"f32", KvType::kF32},
                                                                        {"f16", KvType::kF16},
                                                                        {"bf16", KvType::kBF16},
                                                                        {"int8", KvType::kInt8}}));
  app.add_option("--prefixes", options.prefixes, "tokens; multiples of 32")
      ->check(CLI::Range(kKvBlockTokens, 1 << 20));
  app.add_option("--members", options.members)->check(CLI::Range(1, 4096));
}

void check_attention_options(const AttentionOptions& options) {
  const int32_t n_group = options.n_heads / options.n_kv_heads;
  if (n_group * options.n_kv_heads != options.n_heads || n_group > kMaxWalkRows) {
    throw Error(fmt::format("--heads {}: expected a multiple of --kv-heads {}, at most {} times",
                            options.n_heads, options.n_kv_heads, kMaxWalkRows));
  }
  for (const int32_t prefix : options.prefixes) {
    if (prefix % kKvBlockTokens != 0) {
      throw Error(fmt::format("--prefixes {}: expected a multiple of {}", prefix, kKvBlockTokens));
    }
  }
}

double now_s(bool cpu_time) {
  if (cpu_time) {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace prefold
