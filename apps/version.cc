#include "version.h"

#include <fmt/format.h>

#include <string_view>

#include "base/numerics_version.h"
#include "git_commit.h"
#include "kernels/cpu/kernels.h"

namespace prefold {
namespace {

#if defined(__x86_64__)
constexpr std::string_view kCompiledIsas = "scalar avx2 avxvnni avx512 avx512vnni";
#else
constexpr std::string_view kCompiledIsas = "scalar";
#endif

}  // namespace

std::string version_text() {
  std::string text = fmt::format("prefold {}\n", PREFOLD_VERSION);
  if (std::string_view(PREFOLD_COMMIT) != "unknown") {
    text += fmt::format("commit: {}\n", PREFOLD_COMMIT);
  }
  text += fmt::format("build: {}, {}\n", PREFOLD_BUILD_TYPE, PREFOLD_COMPILER);
  text += fmt::format("isa: {}\n", find_cpu_kernels("auto").isa);
  text += fmt::format("compiled isas: {}\n", kCompiledIsas);
  text += fmt::format("cuda: {}\n", PREFOLD_CUDA_BUILD);
  return text + fmt::format("numerics: {}", kNumericsVersion);
}

}  // namespace prefold
