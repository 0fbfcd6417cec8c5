#include "apps/machine_peaks.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/cpu/panel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace prefold {
namespace {

constexpr int64_t kFmaSteps = 40000;
constexpr int kChains = 12;  // latency 4 or 5 x 2 units, and some to spare

template <typename Fn>
double best_seconds(int n_runs, Fn fn) {
  double best = 1e30;
  for (int run = 0; run < n_runs; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    fn();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

// Each loop does kFmaSteps x kChains multiply-adds of a register's width and returns that width.
// The empty asm keeps the accumulators in registers and the loop as written.
int fma_loop_scalar() {
  volatile float sink = 0.0f;
  float acc = 0.0f;
  for (int64_t i = 0; i < kFmaSteps * kChains / 64; ++i) acc = std::fma(acc, 0.5f, 1.0f);
  sink = acc;
  (void)sink;
  return 1;
}
#if defined(__x86_64__)
#define PREFOLD_EACH_CHAIN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
__attribute__((target("avx2,fma"))) int fma_loop_avx2() {
  const __m256 half = _mm256_set1_ps(0.5f);
#define PREFOLD_CHAIN(n) __m256 chain##n = half;
  PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  for (int64_t i = 0; i < kFmaSteps; ++i) {
#define PREFOLD_CHAIN(n)                            \
  chain##n = _mm256_fmadd_ps(chain##n, half, half); \
  asm volatile("" : "+x"(chain##n));
    PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  }
  return 8;
}
__attribute__((target("avx512f"))) int fma_loop_avx512() {
  const __m512 half = _mm512_set1_ps(0.5f);
#define PREFOLD_CHAIN(n) __m512 chain##n = half;
  PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  for (int64_t i = 0; i < kFmaSteps; ++i) {
#define PREFOLD_CHAIN(n)                            \
  chain##n = _mm512_fmadd_ps(chain##n, half, half); \
  asm volatile("" : "+v"(chain##n));
    PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  }
  return 16;
}
__attribute__((target("avx2"))) int byte_loop_avx2() {
  const __m256i ones = _mm256_set1_epi8(1);
#define PREFOLD_CHAIN(n) __m256i chain##n = ones;
  PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  for (int64_t i = 0; i < kFmaSteps; ++i) {
#define PREFOLD_CHAIN(n)                                                      \
  {                                                                           \
    __m256i bytes = ones;                                                     \
    asm volatile("" : "+x"(bytes));                                           \
    chain##n = _mm256_add_epi16(chain##n, _mm256_maddubs_epi16(bytes, ones)); \
    asm volatile("" : "+x"(chain##n));                                        \
  }
    PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  }
  return 32;
}
__attribute__((target("avx2,avxvnni"))) int byte_loop_avxvnni() {
  const __m256i ones = _mm256_set1_epi8(1);
#define PREFOLD_CHAIN(n) __m256i chain##n = ones;
  PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  for (int64_t i = 0; i < kFmaSteps; ++i) {
#define PREFOLD_CHAIN(n)                                    \
  chain##n = _mm256_dpbusd_avx_epi32(chain##n, ones, ones); \
  asm volatile("" : "+x"(chain##n));
    PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  }
  return 32;
}
__attribute__((target("avx512bw"))) int byte_loop_avx512() {
  const __m512i ones = _mm512_set1_epi8(1);
#define PREFOLD_CHAIN(n) __m512i chain##n = ones;
  PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  for (int64_t i = 0; i < kFmaSteps; ++i) {
#define PREFOLD_CHAIN(n)                                                      \
  {                                                                           \
    __m512i bytes = ones;                                                     \
    asm volatile("" : "+v"(bytes));                                           \
    chain##n = _mm512_add_epi16(chain##n, _mm512_maddubs_epi16(bytes, ones)); \
    asm volatile("" : "+v"(chain##n));                                        \
  }
    PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  }
  return 64;
}
__attribute__((target("avx512vnni,avx512bw"))) int byte_loop_avx512vnni() {
  const __m512i ones = _mm512_set1_epi8(1);
#define PREFOLD_CHAIN(n) __m512i chain##n = ones;
  PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  for (int64_t i = 0; i < kFmaSteps; ++i) {
#define PREFOLD_CHAIN(n)                                \
  chain##n = _mm512_dpbusd_epi32(chain##n, ones, ones); \
  asm volatile("" : "+v"(chain##n));
    PREFOLD_EACH_CHAIN(PREFOLD_CHAIN)
#undef PREFOLD_CHAIN
  }
  return 64;
}
#undef PREFOLD_EACH_CHAIN
#endif

int64_t read_all(const uint64_t* words, int64_t n) {
  uint64_t sum[4] = {};
  for (int64_t i = 0; i + 4 <= n; i += 4) {
    for (int j = 0; j < 4; ++j) sum[j] ^= words[i + j];
  }
  return static_cast<int64_t>(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]);
}

}  // namespace

double measure_multiply_add_flops(std::string_view isa, Precision precision, ThreadPool& pool) {
  int (*loop)() = &fma_loop_scalar;
  int64_t fmas = kFmaSteps * kChains / 64;
#if defined(__x86_64__)
  const bool fast = precision == Precision::kFast;
  if (isa == "avx2") loop = fast ? &byte_loop_avx2 : &fma_loop_avx2;
  if (isa == "avxvnni") loop = fast ? &byte_loop_avxvnni : &fma_loop_avx2;
  if (isa == "avx512") loop = fast ? &byte_loop_avx512 : &fma_loop_avx512;
  if (isa == "avx512vnni") loop = fast ? &byte_loop_avx512vnni : &fma_loop_avx512;
  if (isa != "scalar") fmas = kFmaSteps * kChains;
#endif
  int width = 1;
  const int64_t items = int64_t{4} * pool.n_threads();
  const double seconds = best_seconds(8, [&] {
    pool.parallel_for(items, [&](int64_t item, int32_t) {
      const int w = loop();
      if (item == 0) width = w;
    });
  });
  return 2.0 * static_cast<double>(fmas * items) * width / seconds;
}

double measure_read_bytes_per_s(ThreadPool& pool) {
  constexpr int64_t kWords = int64_t{32} << 20;
  constexpr int64_t kBlock = int64_t{1} << 15;
  std::vector<uint64_t> words(kWords, 1);
  std::vector<int64_t> sinks(static_cast<size_t>(pool.n_threads()));
  const double seconds = best_seconds(6, [&] {
    pool.parallel_for(kWords / kBlock, [&](int64_t item, int32_t thread_idx) {
      sinks[static_cast<size_t>(thread_idx)] += read_all(words.data() + item * kBlock, kBlock);
    });
  });
  return static_cast<double>(kWords * 8) / seconds;
}

double measure_expanded_weights_per_s(const Device& device, TensorType type) {
  constexpr int32_t kN = 256;
  constexpr int kRepeats = 200;
  alignas(64) std::byte panel[kN * kPanelCols * 4] = {};
  const int64_t items = int64_t{4} * device.pool->n_threads();
  const double seconds = best_seconds(8, [&] {
    device.pool->parallel_for(items, [&](int64_t, int32_t) {
      alignas(64) float out[kN * kPanelCols];
      for (int repeat = 0; repeat < kRepeats; ++repeat) {
        device.kernels->gemm->expand(type, panel, 0, kN, out);
      }
    });
  });
  return static_cast<double>(items) * kRepeats * kN * kPanelCols / seconds;
}

}  // namespace prefold
