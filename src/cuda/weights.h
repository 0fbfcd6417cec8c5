// Weights on their way from a model's files to device memory: which format a stored type becomes,
// how many bytes it takes, and its repacking on the host (kernels/cuda/weight_format.h has the
// layout).
//
//   type of activations      F16 or BF16                                F32 (--precision exact)
//   Q8_0, Q5_0, IQ4_NL       kW8                                        kW8
//   Q4_0, Q4_1               kW4                                        kW4
//   INT4 (GPTQ, AWQ)         kW4, with zeros                            kW4, with zeros
//   MXFP4                    kW8: a scale below 2^-24 becomes 0         dense f32
//   IQ4_XS                   kW8: both scale levels multiplied, f16     dense f32
//   Q4_K                     kW4: both scale levels multiplied, f16     dense f32
//   others                   dense in that type, dequantised here       dense f32
// What is in both columns alike keeps its exact values, and so does MXFP4. Products of two scales
// are rounded to f16, by 2^-11 of them at most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tensor_type.h"
#include "base/thread_pool.h"
#include "kernels/cuda/weight_format.h"

namespace prefold::cuda {

// A matrix as it is stored: n_out rows of the layout's n_in elements, row-major.
struct StoredMatrix {
  TensorType type = TensorType::kF32;
  std::span<const std::byte> rows;
  int32_t n_out = 0;
};

// A matrix's place in device memory, known before anything is read.
struct MatrixLayout {
  WeightFormat format = WeightFormat::kDense;
  FloatType type = FloatType::kF16;  // of dense values
  int32_t n_out = 0;                 // a multiple of kWeightUnitOutputs: those added are zeros
  int32_t n_in = 0;
  size_t scale_offset = 0;  // bytes from the values to the scales; 0 if dense
  size_t n_bytes = 0;       // of all; a multiple of 256
};

WeightFormat weight_format(TensorType stored, FloatType activations);

// n_in: a multiple of 32; an Error that says so otherwise.
MatrixLayout matrix_layout(TensorType stored, FloatType activations, int32_t n_out, int32_t n_in);

// Writes layout.n_bytes bytes for the device to `out`. The parts' outputs follow one another
// (query, key and value in one product, say): each n_out but the last one's a multiple of 8,
// together layout.n_out save for what that was rounded up by, all of types with this layout's
// format. Throws Error if a scale or minimum does not fit f16.
void pack_matrix(const MatrixLayout& layout, std::span<const StoredMatrix> parts,
                 std::span<std::byte> out, ThreadPool& pool);

// The matrix whose packed bytes have been copied to `device_bytes` (256-byte aligned).
DeviceMatrix device_matrix(const MatrixLayout& layout, const std::byte* device_bytes);

}  // namespace prefold::cuda
