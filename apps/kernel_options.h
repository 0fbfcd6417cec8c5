// What the programs that time kernels have in common: options, and a clock.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "ops/attention.h"

namespace prefold {

// How each case is timed.
struct TimingOptions {
  std::string isa = "auto";
  int32_t n_threads = usable_thread_count();
  Precision precision = Precision::kExact;
  int32_t reps = 15;  // of each case, at least
  double min_ms = 20.0;
  int32_t cold_mib = 96;  // of data used in turn, so that they come from memory
  bool cpu_time = false;  // of one thread, which other programs do not lengthen
  bool json = false;
};

// Attention's shape, and members that decode behind a prefix which all of them share.
struct AttentionOptions {
  int32_t n_heads = 9;
  int32_t n_kv_heads = 3;
  int32_t head_dim = 64;
  KvType kv_type = KvType::kF32;
  std::vector<int32_t> prefixes;  // tokens, multiples of kKvBlockTokens
  std::vector<int32_t> members;
};

void add_isa_and_reps(CLI::App& app, std::string& isa, int32_t& reps);
void add_timing_options(CLI::App& app, TimingOptions& options);
void add_attention_options(CLI::App& app, AttentionOptions& options);

// Throws Error naming the option.
void check_attention_options(const AttentionOptions& options);

// Seconds since some moment; with cpu_time those that this thread had the processor.
double now_s(bool cpu_time);

}  // namespace prefold
