#include <algorithm>

#include "apps/cuda_cases.h"
#include "kernels/cuda/lora.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kRank = 16;
constexpr int32_t kOutputs[] = {kHeads * kHeadDim, kKvHeads* kHeadDim, kKvHeads* kHeadDim};
constexpr int32_t kAllOutputs = (kHeads + 2 * kKvHeads) * kHeadDim;

// Of one part, by adapter.
const LoraDeviceMatrix* make_matrices(CaseMemory& memory, int32_t n_adapters, int32_t n_out) {
  std::vector<LoraDeviceMatrix> matrices(static_cast<size_t>(n_adapters));
  for (LoraDeviceMatrix& matrix : matrices) {
    matrix.a = memory.floats(size_t{kRank} * kHidden);
    matrix.b = memory.floats(size_t{kRank} * static_cast<size_t>(n_out));
    matrix.rank = kRank;
  }
  return memory.upload(matrices);
}

// The queries, keys and values of rows that lie side by side by adapter, as many of each.
LoraArgs make_lora(CaseMemory& memory, int32_t n_rows, int32_t n_adapters) {
  std::vector<LoraTile> tiles;
  for (int32_t adapter = 0; adapter < n_adapters; ++adapter) {
    const int32_t end = (adapter + 1) * n_rows / n_adapters;
    for (int32_t row = adapter * n_rows / n_adapters; row < end; row += kLoraTileRows) {
      tiles.push_back({row, std::min(kLoraTileRows, end - row), adapter});
    }
  }
  LoraArgs args;
  args.x = memory.halves(static_cast<size_t>(n_rows) * kHidden);
  args.x_stride = args.n_in = kHidden;
  uint16_t* out = memory.halves(static_cast<size_t>(n_rows) * kAllOutputs);
  for (const int32_t n_out : kOutputs) {
    args.parts[args.n_parts++] = {make_matrices(memory, n_adapters, n_out), out, kAllOutputs,
                                  n_out};
    out += n_out;
  }
  args.shrunk = memory.unwritten<float>(static_cast<size_t>(n_rows) * kMaxLoraDeviceParts * kRank);
  args.max_rank = kRank;
  args.tiles = memory.upload(tiles);
  args.max_tiles = static_cast<int32_t>(tiles.size());
  args.n_tiles = memory.upload(std::vector<int32_t>{args.max_tiles});
  return args;
}

CaseWork shrink_case(CaseMemory& memory, int32_t n_rows, int32_t n_adapters) {
  const LoraArgs args = make_lora(memory, n_rows, n_adapters);
  const double shrunk = 4.0 * n_rows * args.n_parts * kRank;
  const double a = 4.0 * n_adapters * args.n_parts * kRank * kHidden;
  return {.bytes = 2.0 * n_rows * kHidden + a + shrunk, .launch = [args](cudaStream_t stream) {
            check_launch("lora_shrink", launch_lora_shrink(args, stream));
          }};
}

CaseWork expand_case(CaseMemory& memory, int32_t n_rows, int32_t n_adapters) {
  const LoraArgs args = make_lora(memory, n_rows, n_adapters);
  const size_t n_shrunk = static_cast<size_t>(n_rows) * kMaxLoraDeviceParts * kRank;
  check_cuda("fill", cudaMemset(args.shrunk, 0, n_shrunk * sizeof(float)));
  const double b = 4.0 * n_adapters * kRank * kAllOutputs;
  return {.bytes = 2.0 * 2.0 * n_rows * kAllOutputs + b + 4.0 * static_cast<double>(n_shrunk),
          .launch = [args](cudaStream_t stream) {
            check_launch("lora_expand", launch_lora_expand(args, stream));
          }};
}

}  // namespace

std::vector<CudaCase> lora_cases() {
  return {{"lora.shrink.64x8", [](CaseMemory& memory) { return shrink_case(memory, 64, 8); }},
          {"lora.expand.64x8", [](CaseMemory& memory) { return expand_case(memory, 64, 8); }},
          {"lora.shrink.512x1", [](CaseMemory& memory) { return shrink_case(memory, 512, 1); }},
          {"lora.expand.512x1", [](CaseMemory& memory) { return expand_case(memory, 512, 1); }}};
}

}  // namespace prefold::cuda
