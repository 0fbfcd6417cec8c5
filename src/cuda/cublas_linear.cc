#include "cuda/cublas_linear.h"

#include <algorithm>

#include "base/check.h"
#include "cuda/error.h"
#include "kernels/cuda/bias_rows.h"
#include "kernels/cuda/dequantize.h"

namespace prefold::cuda {
namespace {

constexpr size_t kMaxScratchBytes = size_t{128} << 20;
constexpr int32_t kOutputStep = 16;  // outputs are dequantised in multiples of this

cudaDataType data_type(FloatType type) {
  switch (type) {
    case FloatType::kF16:
      return CUDA_R_16F;
    case FloatType::kBf16:
      return CUDA_R_16BF;
    case FloatType::kF32:
      return CUDA_R_32F;
  }
  CHECK(false);
}

size_t row_bytes(const DeviceMatrix& weight) { return static_cast<size_t>(weight.n_in) * 2; }

// Outputs [first_output, first_output + n_outputs) of the product, whose weights are dense rows.
void multiply(cublasHandle_t handle, const GemmArgs& args, const void* rows, int32_t first_output,
              int32_t n_outputs) {
  const bool to_f32 = args.output != GemmOutput::kStore;
  const bool add = args.output == GemmOutput::kAddF32 || args.linear.bias != nullptr;
  const float alpha = args.output == GemmOutput::kAddF32 ? args.add_scale : 1.0f;
  const float beta = add ? 1.0f : 0.0f;
  auto* out =
      static_cast<std::byte*>(args.out) + static_cast<size_t>(first_output) * (to_f32 ? 4 : 2);
  const int32_t n_in = args.linear.weight.n_in;
  // cuBLAS is column-major: out^T (outputs x rows) = W (outputs x k) x^T.
  check_cublas(
      "cublasGemmEx",
      cublas().gemm_ex(handle, CUBLAS_OP_T, CUBLAS_OP_N, n_outputs, args.n_rows, n_in, &alpha, rows,
                       data_type(args.type), n_in, args.x, data_type(args.type),
                       static_cast<int>(args.x_stride), &beta, out,
                       data_type(to_f32 ? FloatType::kF32 : args.type),
                       static_cast<int>(args.out_stride), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

}  // namespace

CublasHandle::CublasHandle(cudaStream_t stream, std::span<std::byte> workspace) {
  check_cublas("cublasCreate", cublas().create(&handle_));
  try {
    check_cublas("cublasSetStream", cublas().set_stream(handle_, stream));  // drops the workspace
    check_cublas("cublasSetWorkspace",
                 cublas().set_workspace(handle_, workspace.data(), workspace.size()));
    // Parts of a sum that was split over blocks are added in f32 too.
    check_cublas("cublasSetMathMode",
                 cublas().set_math_mode(handle_, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
  } catch (...) {
    (void)cublas().destroy(handle_);
    throw;
  }
}

CublasHandle::~CublasHandle() { (void)cublas().destroy(handle_); }

void cublas_linear(cublasHandle_t handle, const GemmArgs& args, std::span<std::byte> scratch) {
  const DeviceMatrix& weight = args.linear.weight;
  cudaStream_t stream = nullptr;
  check_cublas("cublasGetStream", cublas().get_stream(handle, &stream));
  if (args.linear.bias != nullptr) {
    check_launch("bias_rows", launch_bias_rows({.type = args.type,
                                                .output = args.output,
                                                .bias = args.linear.bias,
                                                .n_rows = args.n_rows,
                                                .n_cols = weight.n_out,
                                                .out = args.out,
                                                .out_stride = args.out_stride,
                                                .add_scale = args.add_scale},
                                               stream));
  }
  if (weight.format == WeightFormat::kDense) {
    multiply(handle, args, weight.values, 0, weight.n_out);
    return;
  }
  const size_t fitting = scratch.size() / row_bytes(weight) / kOutputStep * kOutputStep;
  CHECK(fitting > 0);
  const auto slice = static_cast<int32_t>(std::min(fitting, static_cast<size_t>(weight.n_out)));
  for (int32_t first = 0; first < weight.n_out; first += slice) {
    const int32_t n_outputs = std::min(slice, weight.n_out - first);
    check_launch("dequantize", launch_dequantize({.weight = weight,
                                                  .first_output = first,
                                                  .n_outputs = n_outputs,
                                                  .type = args.type,
                                                  .out = scratch.data()},
                                                 stream));
    multiply(handle, args, scratch.data(), first, n_outputs);
  }
}

size_t cublas_scratch_bytes(const DeviceMatrix& weight) {
  if (weight.format == WeightFormat::kDense) return 0;
  const size_t least = kOutputStep * row_bytes(weight);
  const size_t all = std::max(static_cast<size_t>(weight.n_out) * row_bytes(weight), least);
  return std::min(all, std::max(kMaxScratchBytes, least));
}

}  // namespace prefold::cuda
