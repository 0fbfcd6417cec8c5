#include "kernels/cuda/embed.h"
#include "kernels/cuda/float_vec.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kGroup = 4;  // columns of a thread
constexpr int kW8Bytes = unit_bytes(WeightFormat::kW8);
constexpr int kW4Bytes = unit_bytes(WeightFormat::kW4);

template <class T>
__device__ float4 dense_values(const DeviceMatrix& table, int32_t id, int32_t col) {
  return load4(static_cast<const T*>(table.values) + static_cast<int64_t>(id) * table.n_in + col);
}

// Four quants, col a multiple of 4. Columns col, col + 1 lie in one lane's place of the unit, the
// next two in the next lane's (weight_format.h).
struct QuantPlace {
  int64_t unit;   // index of the unit
  int64_t scale;  // index of the scale
  int32_t lane;   // of the first two
  int32_t step;   // s of weight_format.h
  int32_t pair;   // 0: k = 16 s + 2 t + {0, 1}, 1: + {8, 9}
};

__device__ QuantPlace place_of(const DeviceMatrix& table, int32_t id, int32_t col) {
  const int64_t group = col / kWeightGroup;
  const int32_t in_step = col % 16;
  return {group * (table.n_out / kWeightUnitOutputs) + id / kWeightUnitOutputs,
          group * table.n_out + id, 4 * (id % kWeightUnitOutputs) + in_step % 8 / 2,
          col % kWeightGroup / 16, in_step / 8};
}

__device__ float4 w8_values(const DeviceMatrix& table, int32_t id, int32_t col) {
  const QuantPlace at = place_of(table, id, col);
  const auto* lane = static_cast<const uint8_t*>(table.values) + at.unit * kW8Bytes + 8 * at.lane +
                     4 * at.step + 2 * at.pair;
  const uchar2 first = *reinterpret_cast<const uchar2*>(lane);
  const uchar2 second = *reinterpret_cast<const uchar2*>(lane + 8);
  const float d = __half2float(static_cast<const __half*>(table.scales)[at.scale]);
  const auto value = [d](uint8_t q) { return d * static_cast<float>(static_cast<int>(q) - 128); };
  return {value(first.x), value(first.y), value(second.x), value(second.y)};
}

__device__ float4 w4_values(const DeviceMatrix& table, int32_t id, int32_t col) {
  const QuantPlace at = place_of(table, id, col);
  const auto* lanes =
      static_cast<const uint32_t*>(table.values) + at.unit * (kW4Bytes / 4) + at.lane;
  const int shift = 8 * at.step + 4 * at.pair;
  const uint32_t first = lanes[0] >> shift, second = lanes[1] >> shift;
  const __half2 scale = static_cast<const __half2*>(table.scales)[at.scale];
  const float d = __low2float(scale), m = __high2float(scale);
  const auto value = [d, m](uint32_t q) { return __fmaf_rn(d, static_cast<float>(q & 15u), m); };
  return {value(first), value(first >> 16), value(second), value(second >> 16)};
}

template <float4 (*kValues)(const DeviceMatrix&, int32_t, int32_t)>
__global__ void __launch_bounds__(kThreads) embed(EmbedArgs args) {
  const int32_t col = static_cast<int32_t>(blockIdx.y * kThreads + threadIdx.x) * kGroup;
  if (col >= args.table.n_in) return;
  const int64_t row = blockIdx.x;
  int32_t id = args.token_ids[row];
  if (id == kTokenFromSlot) id = args.last_tokens[args.input_slots[row]];
  store4(args.hidden + row * args.table.n_in + col, kValues(args.table, id, col));
}

template <float4 (*kValues)(const DeviceMatrix&, int32_t, int32_t)>
void launch(const EmbedArgs& args, cudaStream_t stream) {
  const int cols_of_block = kThreads * kGroup;
  const dim3 grid(static_cast<unsigned>(args.n_rows),
                  static_cast<unsigned>((args.table.n_in + cols_of_block - 1) / cols_of_block));
  embed<kValues><<<grid, kThreads, 0, stream>>>(args);
}

void launch_dense(const EmbedArgs& args, cudaStream_t stream) {
  switch (args.table.type) {
    case FloatType::kF16:
      return launch<dense_values<__half>>(args, stream);
    case FloatType::kBf16:
      return launch<dense_values<__nv_bfloat16>>(args, stream);
    case FloatType::kF32:
      return launch<dense_values<float>>(args, stream);
  }
}

}  // namespace

cudaError_t launch_embed(const EmbedArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  switch (args.table.format) {
    case WeightFormat::kDense:
      launch_dense(args, stream);
      break;
    case WeightFormat::kW8:
      launch<w8_values>(args, stream);
      break;
    case WeightFormat::kW4:
      launch<w4_values>(args, stream);
      break;
  }
  return cudaGetLastError();
}

}  // namespace prefold::cuda
