// A tensor of a model file: where its bytes lie, and how they become what its type and shape say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/tensor_type.h"
#include "ops/input_order.h"

namespace prefold {

struct StoredPlace {
  int32_t file = 0;  // which of ModelFile::files
  size_t offset = 0;
  size_t n_bytes = 0;
};

// 4-bit weights of GPTQ (arXiv 2210.17323) and AWQ (arXiv 2306.00978) checkpoints, as three stored
// tensors that become one of the kInt4 types. In each int32 lie eight 4-bit numbers.
//   GPTQ  quants (n_in / 8, n_out): of eight k, low bits first; zeros (n_in / group, n_out / 8): of
//         eight outputs, low bits first
//   AWQ   quants (n_in, n_out / 8) and zeros (n_in / group, n_out / 8): of eight outputs, in the
//         order 0 2 4 6 1 3 5 7 of kAwqOrder
// scales (n_in / group, n_out), f16. A weight is scale * (quant - (zero + zero_offset)).
// GPTQ may give inputs to groups by their importance ("act order"). The blocks of such a tensor
// have groups of neighbours all the same: their column i is the stored k input_order[i].
struct Int4Source {
  enum class Packing : uint8_t { kGptq, kAwq };
  Packing packing = Packing::kGptq;
  int32_t group = 0;         // k that share a scale and a zero
  int32_t zero_offset = 0;   // 1: zeros are stored less one (GPTQ's first version)
  int32_t n_stored_out = 0;  // outputs of the stored tensors
  int32_t first_out = 0;     // of them this tensor's first (one of several in a fused matrix)
  StoredPlace quants, zeros, scales;
  InputOrder input_order;
};

// What lies between a tensor's stored bytes and those of its type and shape. "Rows" of a vector are
// its elements.
enum class TensorTransform : uint8_t {
  kNone,
  kRowRuns,     // rows lie in runs of `run_rows`, whose starts are `stride_rows` apart
  kTransposed,  // (n_in, n_out) is stored, of rows of `stride_rows` elements
  kPlusOne,     // a vector of plain floats, one less than what is meant
  kInt4,        // `int4` says where from
  kStacked,     // its rows lie at `places`, each in one
};

struct StoredTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;  // outermost first: (rows, columns) for a matrix
  int32_t file = 0;            // which of ModelFile::files
  size_t offset = 0;           // into the file
  size_t n_bytes = 0;          // from its first stored byte to its last
  TensorTransform transform = TensorTransform::kNone;
  int64_t run_rows = 0;
  int64_t stride_rows = 0;
  std::shared_ptr<const Int4Source> int4 = nullptr;  // of kInt4
  // Of kStacked, the first is its own.
  std::shared_ptr<const std::vector<StoredPlace>> places = nullptr;
};

// The product of the shape; of a parsed tensor it cannot overflow.
int64_t n_elements(const StoredTensor& tensor);

// Bytes of its type and shape, whatever it is made from.
size_t packed_bytes(const StoredTensor& tensor);

}  // namespace prefold
