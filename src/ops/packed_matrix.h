// A weight matrix in the layout that the linear op reads: panels of 16 output columns, still in
// their stored precision. Made once at load; a 4-bit matrix never takes its f32 size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/tensor_type.h"
#include "base/thread_pool.h"
#include "ops/device.h"
#include "ops/tensor_view.h"

namespace prefold {

class PackedMatrix {
 public:
  PackedMatrix() = default;

  // rows: n_out rows of n_in elements, row-major as stored in the file, n_in a multiple of the
  // type's block. Every weight keeps its one f32 value (docs/architecture.md, I6).
  PackedMatrix(TensorType type, std::span<const std::byte> rows, int32_t n_out, int32_t n_in,
               ThreadPool& pool);

  TensorType type() const { return type_; }
  int32_t n_out() const { return n_out_; }
  int32_t n_in() const { return n_in_; }
  size_t bytes() const { return n_bytes_; }
  const std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  TensorType type_ = TensorType::kF32;
  int32_t n_out_ = 0;
  int32_t n_in_ = 0;
  size_t n_bytes_ = 0;
  std::unique_ptr<std::byte, Free> data_;  // 64-byte aligned
};

}  // namespace prefold
