// Matrix products in which rows have different matrices: the experts of a layer, the adapters of a
// step. Rows of one matrix lie together as a group, and the items of all groups are one list that
// the threads take from, so that many small groups fill them as well as a large one does.
//
// Every output has the bits that linear() gives for its row and its matrix, whatever the groups.
#pragma once

#include <span>

#include "ops/device.h"
#include "ops/linear.h"
#include "ops/tensor_view.h"

namespace prefold {

// Places 0, 1, ... hold the rows of a product, group after group. A row may be in several places.
struct RowGroups {
  std::span<const int32_t> first;   // group g has places [first[g], first[g + 1]), at least one;
                                    // begins with 0 and ends with their number
  std::span<const int32_t> matrix;  // of each group. Threads end soonest if large groups come first
  std::span<const int32_t> rows;    // of each place: its row of x. Empty: place p reads row p

  int32_t n_groups() const { return static_cast<int32_t>(matrix.size()); }
  int32_t n_places() const { return first.empty() ? 0 : first.back(); }
};

// out.row(p) = x.row(rows[p]) W^T + b with (W, b) = weights[matrix of p's group], or that added to
// out.row(p) if add_to_out. Matrices may differ in type and size: W reads the first n_in values of
// its rows and writes the first n_out of theirs. One without outputs writes nothing.
struct GroupedPart {
  std::span<const Linear> weights;
  Rows out;  // (n_places, at least n_out)
  bool add_to_out = false;
  int32_t first_in = 0;  // W reads from this value of its rows on; only with exact products
};

// Several such products of the same rows in one go (gate, up). Parts that are computed with inputs
// in 8 bits (Precision::kFast) read x.n_cols values in all of their groups.
void grouped_linear(const Device& device, ConstRows x, const RowGroups& groups,
                    std::span<const GroupedPart> parts, std::span<std::byte> scratch);

// Whether RowGroups::rows says where places read, or is empty.
enum class GroupedRows { kGathered, kInPlace };
// Bytes that grouped_linear needs for so many places of up to max_in inputs.
size_t grouped_linear_scratch_bytes(const Device& device, int32_t max_places, int32_t max_in,
                                    GroupedRows rows = GroupedRows::kGathered);

}  // namespace prefold
