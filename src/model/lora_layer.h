// What the rows' adapters add to products, on the CPU.
//
// A step's rows have many adapters, or none, and are multiplied at once: rows of one adapter lie
// together, and the products of all of them are one list of items (ops/grouped_linear.h; Punica,
// arXiv 2310.18547, calls it SGMV). Both are in f32 whatever the precision: t = A x is a chain over
// n_in, B t one over the rank, which is added to the finished product of the model's own matrix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_vector.h"
#include "model/weights.h"
#include "ops/device.h"
#include "ops/tensor_view.h"
#include "plan/row_span.h"

namespace prefold {

// Matrices that read the same rows: query, key and value at most.
inline constexpr int32_t kMaxLoraParts = 3;

// Allocated once, for the rows of a step.
struct LoraBuffers {
  std::vector<int32_t> first, matrix;  // see RowGroups
  AlignedVector<float> shrunk;         // A x of each part
  int32_t max_rank = 0;
  size_t bytes() const;
};
LoraBuffers allocate_lora_buffers(const Adapters& adapters, int32_t max_rows);

// Bytes of scratch that add_lora needs.
size_t lora_scratch_bytes(const Device& device, const Adapters& adapters, int32_t max_rows,
                          int32_t max_in);

// Before the layers of a step of n_rows rows, of which `rows` tells as StepPlan::adapters does.
void group_adapter_rows(std::span<const AdapterRows> rows, int32_t n_rows, LoraBuffers& buffers);

struct LoraPart {
  const AdaptedMatrix* matrix = nullptr;
  Rows out;
};

// out += B (A x) for each part, by the adapters of the rows; rows without one are not touched.
void add_lora(const Device& device, ConstRows x, std::span<const LoraPart> parts,
              LoraBuffers& buffers, std::span<std::byte> scratch);

}  // namespace prefold
