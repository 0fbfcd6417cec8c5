#include "kernels/cuda/embed.h"
#include "kernels/cuda/float_vec.cuh"

namespace prefold::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kW8Bytes = unit_bytes(WeightFormat::kW8);
constexpr int kW4Bytes = unit_bytes(WeightFormat::kW4);

__device__ int32_t id_of_row(const EmbedArgs& args, int32_t row) {
  const int32_t id = args.token_ids[row];
  return id == kTokenFromSlot ? args.last_tokens[args.input_slots[row]] : id;
}

// The row of learned positions that is added; null: none.
__device__ const float* position_of_row(const EmbedArgs& args, int32_t row) {
  if (args.position_table == nullptr) return nullptr;
  return args.position_table + static_cast<int64_t>(args.positions[row]) * args.table.n_in;
}

// A block a row, four columns of a thread at a time.
template <class T>
__global__ void __launch_bounds__(kThreads) embed_dense(const __grid_constant__ EmbedArgs args) {
  const int32_t row = static_cast<int32_t>(blockIdx.x), n_cols = args.table.n_in;
  const T* values = static_cast<const T*>(args.table.values) +
                    static_cast<int64_t>(id_of_row(args, row)) * n_cols;
  const float* position = position_of_row(args, row);
  float* out = args.hidden + static_cast<int64_t>(row) * n_cols;
  for (int32_t col = 4 * static_cast<int32_t>(threadIdx.x); col < n_cols; col += 4 * kThreads) {
    float4 x = load4(values + col);
    x = {args.scale * x.x, args.scale * x.y, args.scale * x.z, args.scale * x.w};
    if (position != nullptr) {
      const float4 p = load4(position + col);
      x = {x.x + p.x, x.y + p.y, x.z + p.z, x.w + p.w};
    }
    store4(out + col, x);
  }
}

// The eight values of lane t of an id's four in a unit, at columns 16 s + 8 p + 2 t + {0, 1} of the
// group: pairs[2 s + p] (weight_format.h).
struct LaneValues {
  float2 pairs[4];
};

__device__ LaneValues w8_values(const DeviceMatrix& table, int64_t unit, int lane, int64_t scale) {
  const auto* quants = static_cast<const uint8_t*>(table.values) + unit * kW8Bytes;
  const auto bytes = reinterpret_cast<const FloatVec<uint8_t, 8>*>(quants)[lane];
  const float d = __half2float(static_cast<const __half*>(table.scales)[scale]);
  LaneValues values;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values.pairs[i] = {d * static_cast<float>(static_cast<int>(bytes.v[2 * i]) - 128),
                       d * static_cast<float>(static_cast<int>(bytes.v[2 * i + 1]) - 128)};
  }
  return values;
}

__device__ LaneValues w4_values(const DeviceMatrix& table, int64_t unit, int lane, int64_t scale) {
  const auto* quants = static_cast<const uint32_t*>(table.values) + unit * (kW4Bytes / 4);
  const uint32_t bits = quants[lane];
  const __half2 both = static_cast<const __half2*>(table.scales)[scale];
  const float d = __low2float(both), m = __high2float(both);
  LaneValues values;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values.pairs[i] = {__fmaf_rn(d, static_cast<float>(bits >> (4 * i) & 15u), m),
                       __fmaf_rn(d, static_cast<float>(bits >> (4 * i + 16) & 15u), m)};
  }
  return values;
}

// A block a row, four threads a group of 32 columns.
template <LaneValues (*kValues)(const DeviceMatrix&, int64_t, int, int64_t)>
__global__ void __launch_bounds__(kThreads) embed_quants(const __grid_constant__ EmbedArgs args) {
  const DeviceMatrix& table = args.table;
  const int32_t row = static_cast<int32_t>(blockIdx.x), id = id_of_row(args, row);
  const int n_groups = table.n_in / kWeightGroup, t = static_cast<int>(threadIdx.x % 4);
  const float* position = position_of_row(args, row);
  const int64_t units = table.n_out / kWeightUnitOutputs;  // of a group
  const int lane = 4 * (id % kWeightUnitOutputs) + t;
  for (int group = static_cast<int>(threadIdx.x / 4); group < n_groups; group += kThreads / 4) {
    const LaneValues values = kValues(table, group * units + id / kWeightUnitOutputs, lane,
                                      static_cast<int64_t>(group) * table.n_out + id);
    const int32_t first = group * kWeightGroup + 2 * t;
    float* out = args.hidden + static_cast<int64_t>(row) * table.n_in + first;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float2 pair{args.scale * values.pairs[i].x, args.scale * values.pairs[i].y};
      if (position != nullptr) {
        const float2 p = *reinterpret_cast<const float2*>(position + first + 8 * i);
        pair = {pair.x + p.x, pair.y + p.y};
      }
      __stwb(reinterpret_cast<float2*>(out + 8 * i), pair);
    }
  }
}

void launch_dense(const EmbedArgs& args, cudaStream_t stream) {
  const unsigned n_blocks = static_cast<unsigned>(args.n_rows);
  switch (args.table.type) {
    case FloatType::kF16:
      embed_dense<__half><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kBf16:
      embed_dense<__nv_bfloat16><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
    case FloatType::kF32:
      embed_dense<float><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
  }
}

}  // namespace

cudaError_t launch_embed(const EmbedArgs& args, cudaStream_t stream) {
  if (args.n_rows == 0) return cudaSuccess;
  const unsigned n_blocks = static_cast<unsigned>(args.n_rows);
  switch (args.table.format) {
    case WeightFormat::kDense:
      launch_dense(args, stream);
      break;
    case WeightFormat::kW8:
      embed_quants<w8_values><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
    case WeightFormat::kW4:
      embed_quants<w4_values><<<n_blocks, kThreads, 0, stream>>>(args);
      break;
  }
  return cudaGetLastError();
}

}  // namespace prefold::cuda
