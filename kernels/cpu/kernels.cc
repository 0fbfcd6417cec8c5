#include "kernels/cpu/kernels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"

namespace prefold {

extern const CpuKernels kCpuKernels_scalar;
#if defined(__x86_64__)
extern const CpuKernels kCpuKernels_avx2;
extern const Int8Kernels kInt8Kernels_avxvnni;
extern const AttentionWalkFn kWalkAttentionInt8_avxvnni;
extern const CpuKernels kCpuKernels_avx512;
extern const Int8Kernels kInt8Kernels_avx512vnni;
extern const AttentionWalkFn kWalkAttentionInt8_avx512vnni;
#endif

#if defined(__x86_64__)
// Clang 14 knows the names "f16c" and "avxvnni" not.
static bool has_f16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
static bool has_avxvnni() {
  constexpr unsigned kAvxVnni = 1u << 4;
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnni) != 0;
}

static CpuKernels with_dot_products(const CpuKernels& kernels, std::string_view isa,
                                    const Int8Kernels& gemm, AttentionWalkFn attention) {
  CpuKernels changed = kernels;
  changed.isa = isa;
  changed.gemm_int8 = &gemm;
  changed.walk_attention_int8 = attention;
  return changed;
}
static const CpuKernels& avxvnni_kernels() {
  static const CpuKernels kernels = with_dot_products(
      kCpuKernels_avx2, "avxvnni", kInt8Kernels_avxvnni, kWalkAttentionInt8_avxvnni);
  return kernels;
}
static const CpuKernels& avx512vnni_kernels() {
  static const CpuKernels kernels = with_dot_products(
      kCpuKernels_avx512, "avx512vnni", kInt8Kernels_avx512vnni, kWalkAttentionInt8_avx512vnni);
  return kernels;
}
#endif

std::vector<const CpuKernels*> available_cpu_kernels() {
  std::vector<const CpuKernels*> available{&kCpuKernels_scalar};
#if defined(__x86_64__)
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (has_avx2) {
    available.push_back(&kCpuKernels_avx2);
    if (has_avxvnni()) available.push_back(&avxvnni_kernels());
  }
  if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    available.push_back(&kCpuKernels_avx512);
    if (__builtin_cpu_supports("avx512vnni")) available.push_back(&avx512vnni_kernels());
  }
#endif
  return available;
}

const CpuKernels& find_cpu_kernels(std::string_view name) {
  const std::vector<const CpuKernels*> available = available_cpu_kernels();
  if (name == "auto") return *available.back();
  std::vector<std::string_view> names;
  for (const CpuKernels* kernels : available) {
    if (kernels->isa == name) return *kernels;
    names.push_back(kernels->isa);
  }
  throw Error(fmt::format("--cpu-isa {}: this processor runs {}; use one of them or auto", name,
                          fmt::join(names, ", ")));
}

}  // namespace prefold
