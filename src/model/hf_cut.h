// Parts of stored tensors as tensors of their own, and tensors of several parts. Nothing is read:
// only where the bytes lie changes.
#pragma once

#include <cstdint>
#include <span>

#include "model/stored_tensor.h"

namespace prefold {

// Rows [first, first + n) of a matrix, or elements of a vector. The caller has checked that they
// are there.
StoredTensor cut_rows(StoredTensor tensor, int64_t first, int64_t n);

// Columns [first, first + n) of a stored matrix of floats, as rows: (n, inputs). The caller has
// checked that they are there.
StoredTensor cut_columns(StoredTensor tensor, int64_t first, int64_t n);

// Rows in n_runs runs of run_rows, whose starts are stride_rows apart, the first at `first`.
StoredTensor cut_runs(StoredTensor tensor, int64_t first, int64_t n_runs, int64_t run_rows,
                      int64_t stride_rows);

// Vectors of one length and type, as the rows of a matrix.
StoredTensor stack_vectors(std::span<const StoredTensor> vectors);

}  // namespace prefold
