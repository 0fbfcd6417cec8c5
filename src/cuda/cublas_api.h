// cuBLAS, loaded when it is first needed: linked as usual, its libraries would cost every run, also
// one on the CPU, a tenth of a second and 200 MB of memory at start.
#pragma once

#include <cublas_v2.h>

#include <string>

namespace prefold::cuda {

struct CublasApi {
  decltype(&cublasCreate) create = nullptr;
  decltype(&cublasDestroy) destroy = nullptr;
  decltype(&cublasSetStream) set_stream = nullptr;
  decltype(&cublasGetStream) get_stream = nullptr;
  decltype(&cublasSetWorkspace) set_workspace = nullptr;
  decltype(&cublasSetMathMode) set_math_mode = nullptr;
  // cublasGemmEx, which has an overload
  cublasStatus_t (*gemm_ex)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n,
                            int k, const void* alpha, const void* a, cudaDataType, int lda,
                            const void* b, cudaDataType, int ldb, const void* beta, void* c,
                            cudaDataType, int ldc, cublasComputeType_t, cublasGemmAlgo_t) = nullptr;
  decltype(&cublasGetProperty) get_property = nullptr;
  decltype(&cublasGetStatusName) status_name = nullptr;
  decltype(&cublasGetStatusString) status_string = nullptr;
};

// Throws Error naming the library, and the function if it is that which is missing.
const CublasApi& cublas();

// Of the library that was loaded: "13.1.0".
std::string cublas_version();

// Throws Error "CUDA: <what>: <cuBLAS's message> (<its name>)".
void check_cublas(const char* what, cublasStatus_t status);

}  // namespace prefold::cuda
