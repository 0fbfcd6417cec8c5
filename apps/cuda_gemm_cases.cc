#include <fmt/format.h>

#include "apps/cuda_cases.h"
#include "cuda/linear.h"
#include "kernels/cuda/dequantize.h"
#include "kernels/cuda/gemm.h"

namespace prefold::cuda {
namespace {

struct Product {
  const char* name;
  int32_t n_in, n_out;
  GemmOutput output;
};

constexpr Product kQkv{"qkv", kHidden, (kHeads + 2 * kKvHeads) * kHeadDim, GemmOutput::kStore};
constexpr Product kGateUp{"gate_up", kHidden, 2 * kIntermediate, GemmOutput::kStore};
constexpr Product kDown{"down", kIntermediate, kHidden, GemmOutput::kAddF32};

double matrix_bytes(const DeviceMatrix& weight) {
  const double n = 1.0 * weight.n_in * weight.n_out;
  if (weight.format == WeightFormat::kDense) return 2.0 * n;
  return n * (weight.format == WeightFormat::kW4 ? 0.5 : 1.0) +
         n / kWeightGroup * scale_bytes(weight.format);
}

DeviceMatrix make_matrix(CaseMemory& memory, WeightFormat format, int32_t n_in, int32_t n_out) {
  const size_t n = size_t(n_in) * size_t(n_out);
  DeviceMatrix weight;
  weight.format = format;
  weight.n_in = n_in;
  weight.n_out = n_out;
  if (format == WeightFormat::kDense) {
    weight.values = memory.halves(n);
  } else {
    weight.values = memory.bytes(format == WeightFormat::kW4 ? n / 2 : n);
    weight.scales = memory.halves(n / kWeightGroup * size_t(scale_bytes(format)) / 2);
  }
  return weight;
}

// The tile is chosen as linear() does for this device.
CaseWork gemm_case(CaseMemory& memory, WeightFormat format, const Product& product,
                   int32_t n_rows) {
  const size_t n_out = size_t(n_rows) * size_t(product.n_out);
  const bool is_f32 = product.output != GemmOutput::kStore;
  GemmArgs args;
  args.tile = choose_tile(n_rows, product.n_out, memory.device().sm_count);
  args.output = product.output;
  args.x = memory.halves(size_t(n_rows) * size_t(product.n_in));
  args.x_stride = product.n_in;
  args.n_rows = n_rows;
  args.linear.weight = make_matrix(memory, format, product.n_in, product.n_out);
  args.out = is_f32 ? static_cast<void*>(memory.floats(n_out)) : memory.unwritten<uint16_t>(n_out);
  args.out_stride = product.n_out;
  const double out_bytes = product.output == GemmOutput::kAddF32 ? 8.0 : is_f32 ? 4.0 : 2.0;
  return {
      .bytes = matrix_bytes(args.linear.weight) + 2.0 * n_rows * product.n_in +
               out_bytes * n_rows * product.n_out,
      .flops = 2.0 * n_rows * product.n_in * product.n_out,
      .launch = [args](cudaStream_t stream) { check_launch("gemm", launch_gemm(args, stream)); }};
}

CaseWork dequantize_case(CaseMemory& memory, WeightFormat format) {
  DequantizeArgs args;
  args.weight = make_matrix(memory, format, kHidden, kHidden);
  args.n_outputs = kHidden;
  args.out = memory.unwritten<uint16_t>(size_t{kHidden} * kHidden);
  return {.bytes = matrix_bytes(args.weight) + 2.0 * kHidden * kHidden,
          .launch = [args](cudaStream_t stream) {
            check_launch("dequantize", launch_dequantize(args, stream));
          }};
}

}  // namespace

std::vector<CudaCase> gemm_cases() {
  std::vector<CudaCase> cases;
  const auto add = [&](const char* format_name, WeightFormat format, const Product& product,
                       int32_t n_rows) {
    cases.push_back(
        {fmt::format("gemm.{}.{}.{}", format_name, product.name, n_rows),
         [=](CaseMemory& memory) { return gemm_case(memory, format, product, n_rows); }});
  };
  for (const int32_t n_rows : {1, 16, 64}) add("w4", WeightFormat::kW4, kGateUp, n_rows);
  for (const int32_t n_rows : {16, 64, 256}) add("w4", WeightFormat::kW4, kQkv, n_rows);
  for (const int32_t n_rows : {16, 64}) add("w4", WeightFormat::kW4, kDown, n_rows);
  for (const int32_t n_rows : {16, 64, 256}) add("w8", WeightFormat::kW8, kQkv, n_rows);
  for (const int32_t n_rows : {16, 64, 256}) add("dense", WeightFormat::kDense, kQkv, n_rows);
  cases.push_back({"dequantize.w4",
                   [](CaseMemory& memory) { return dequantize_case(memory, WeightFormat::kW4); }});
  cases.push_back({"dequantize.w8",
                   [](CaseMemory& memory) { return dequantize_case(memory, WeightFormat::kW8); }});
  return cases;
}

}  // namespace prefold::cuda
