// Which blocks of a step's rows are read by several sequences, found from the block tables alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/row_span.h"

namespace prefold {

// The shared segments of a step: maximal ranges of leading blocks that two or more neighbouring
// spans have in common, nested where the sharing is. Spans must be ordered so that those with
// common blocks are neighbours (depth-first order of the prefix tree).
std::vector<SharedSegment> shared_segments(std::span<const RowSpan> spans,
                                           std::span<const int32_t> block_ids);

}  // namespace prefold
