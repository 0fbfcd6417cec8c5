#include "run/options.h"

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/kv_storage.h"
#include "kernels/cpu/kernels.h"
#include "schedule/job.h"

namespace prefold {
namespace {

// A step this large keeps the matrix products near their peak; larger ones gain little.
constexpr int32_t kDefaultTokenBudget = 512;
constexpr double kDefaultMemoryShare = 0.6;

std::optional<int64_t> number_in_file(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

std::optional<int64_t> mem_available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, rest;
  int64_t kib = 0;
  while (file >> key >> kib && std::getline(file, rest)) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return std::nullopt;
}

std::optional<int64_t> cgroup_room_bytes() {
  const auto limit = number_in_file("/sys/fs/cgroup/memory.max");
  const auto used = number_in_file("/sys/fs/cgroup/memory.current");
  if (limit && used) return std::max<int64_t>(0, *limit - *used);
  return std::nullopt;
}

}  // namespace

int64_t available_memory_bytes() {
  const int64_t machine = mem_available_bytes().value_or(int64_t{4} << 30);
  return std::min(machine, cgroup_room_bytes().value_or(machine));
}

RunConfig resolve(const RunOptions& options, const ModelConfig& model) {
  RunConfig config;
  config.options = options;
  config.token_budget = options.max_num_batched_tokens.value_or(kDefaultTokenBudget);
  config.threads = options.threads.value_or(usable_thread_count());
  config.cpu_isa = find_cpu_kernels(options.cpu_isa).isa;
  config.kv_bytes_per_block = static_cast<int64_t>(kv_bytes_per_block(
      {options.kv_type, model.n_layers, model.n_kv_heads, model.head_dim}));

  const int64_t pool_bytes = options.kv_memory_bytes.value_or(
      static_cast<int64_t>(kDefaultMemoryShare * static_cast<double>(available_memory_bytes())));
  const int64_t n_blocks = pool_bytes / config.kv_bytes_per_block;
  if (n_blocks <= kSpareBlocks) {
    throw Error(fmt::format(
        "the KV cache has {} bytes (--kv-memory); this model needs {} bytes for {} tokens, and "
        "{} such blocks at least",
        pool_bytes, config.kv_bytes_per_block, kKvBlockTokens, kSpareBlocks + 1));
  }
  config.n_kv_blocks = static_cast<int32_t>(std::min<int64_t>(n_blocks, INT32_MAX / 2));

  if (options.max_model_len && *options.max_model_len > model.context_length) {
    throw Error(fmt::format("--max-model-len is {}; this model's context has {} tokens",
                            *options.max_model_len, model.context_length));
  }
  const int64_t pool_tokens = int64_t{config.n_kv_blocks - kSpareBlocks} * kKvBlockTokens;
  config.max_model_len = options.max_model_len.value_or(
      static_cast<int32_t>(std::min<int64_t>(model.context_length, pool_tokens)));
  return config;
}

}  // namespace prefold
