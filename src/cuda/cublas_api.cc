#include "cuda/cublas_api.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/error.h"

// The name that the library exports: cublas_v2.h has macros for some, e.g. cublasCreate_v2.
#define PREFOLD_QUOTED(name) #name
#define PREFOLD_EXPORTED(name) PREFOLD_QUOTED(name)

namespace prefold::cuda {
namespace {

constexpr char kLibrary[] = "libcublas.so." PREFOLD_EXPORTED(CUBLAS_VER_MAJOR);

template <class Fn>
void find(void* library, const char* name, Fn& fn) {
  fn = reinterpret_cast<Fn>(dlsym(library, name));
  if (fn == nullptr) throw Error(fmt::format("CUDA: {} has no function {}", kLibrary, name));
}

CublasApi load() {
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);  // for the rest of the run
  if (library == nullptr) {
    throw Error(fmt::format("CUDA: cuBLAS cannot be loaded ({}); --deterministic does without it",
                            dlerror()));
  }
  CublasApi api;
  find(library, PREFOLD_EXPORTED(cublasCreate), api.create);
  find(library, PREFOLD_EXPORTED(cublasDestroy), api.destroy);
  find(library, PREFOLD_EXPORTED(cublasSetStream), api.set_stream);
  find(library, PREFOLD_EXPORTED(cublasGetStream), api.get_stream);
  find(library, PREFOLD_EXPORTED(cublasSetWorkspace), api.set_workspace);
  find(library, PREFOLD_EXPORTED(cublasSetMathMode), api.set_math_mode);
  find(library, PREFOLD_EXPORTED(cublasGemmEx), api.gemm_ex);
  find(library, PREFOLD_EXPORTED(cublasGetProperty), api.get_property);
  find(library, PREFOLD_EXPORTED(cublasGetStatusName), api.status_name);
  find(library, PREFOLD_EXPORTED(cublasGetStatusString), api.status_string);
  return api;
}

}  // namespace

const CublasApi& cublas() {
  static const CublasApi api = load();
  return api;
}

std::string cublas_version() {
  const auto part = [](libraryPropertyType which) {
    int value = 0;
    check_cublas("cublasGetProperty", cublas().get_property(which, &value));
    return value;
  };
  return fmt::format("{}.{}.{}", part(MAJOR_VERSION), part(MINOR_VERSION), part(PATCH_LEVEL));
}

void check_cublas(const char* what, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(fmt::format("CUDA: {}: {} ({})", what, cublas().status_string(status),
                          cublas().status_name(status)));
}

}  // namespace prefold::cuda
