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
extern const CpuKernels kCpuKernels_avx512;
extern const Int8Kernels kInt8Kernels_avx512vnni;
extern const AttentionWalkFn kWalkAttentionInt8_avx512vnni;
#endif

#if defined(__x86_64__)
// Clang 14 does not know the name "f16c".
static bool has_f16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

#if defined(__x86_64__)
static const CpuKernels& avx512vnni_kernels() {
  static const CpuKernels kernels = [] {
    CpuKernels changed = kCpuKernels_avx512;
    changed.isa = "avx512vnni";
    changed.gemm_int8 = &kInt8Kernels_avx512vnni;
    changed.walk_attention_int8 = kWalkAttentionInt8_avx512vnni;
    return changed;
  }();
  return kernels;
}
#endif

std::vector<const CpuKernels*> available_cpu_kernels() {
  std::vector<const CpuKernels*> available{&kCpuKernels_scalar};
#if defined(__x86_64__)
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (has_avx2) available.push_back(&kCpuKernels_avx2);
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
