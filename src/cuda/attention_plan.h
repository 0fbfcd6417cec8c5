// From a step's spans and shared segments to the lists that kernels/cuda/attention.h walks.
//
// Of a segment only whole chunks of kCudaAttentionChunk positions are shared: it covers the blocks
// from where the one around it ends, rounded down, to its own end, rounded down; the rest is part
// of what each member reads by itself. So is a segment whose members have so many rows that they
// fill tiles by themselves: reading it together would save less than the partial states cost. Rows
// with more than one item have partial states, merged by a second kernel. Where there are too few
// items for the device, those that begin at the first visible chunk are split at chunks. None of
// this changes a bit of an answer, so what the partial states have no room for is simply not
// shared, or not split.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/attention.h"
#include "plan/row_span.h"

namespace prefold::cuda {

struct AttentionShape {
  int32_t n_heads = 1;
  int32_t n_kv_heads = 1;
  int32_t tile_rows = 64;  // attention_tile_rows
  int32_t window = 0;      // as AttentionArgs::window
  int32_t n_sms = 1;
};

// Sizes of all that a step may need, known when the engine is made.
struct AttentionLimits {
  int32_t max_rows = 0;
  int32_t n_partial_rows = 0;  // each n_heads * (head_dim + 2) floats
  int32_t n_items = 0;
  int32_t n_merges = 0;
  int32_t n_parts = 0;
};

// For steps of at most max_rows rows.
AttentionLimits attention_limits(int32_t max_rows, const AttentionShape& shape);

// Storage of the lists, of the sizes in AttentionLimits (pinned memory, for instance), and how much
// of it the last plan_attention used. Items are in order of falling cost.
struct AttentionLists {
  std::span<AttentionItem> items;
  std::span<AttentionMerge> merges;
  std::span<int32_t> parts;
  AttentionCounts counts = {};
  int32_t n_parts = 0;
  int32_t n_partial_rows = 0;
};

// Kept from step to step; allocated once, for the limits.
struct AttentionPlanScratch {
  explicit AttentionPlanScratch(const AttentionLimits& limits);

  std::vector<int32_t> covered;   // by span: positions that shared items cover
  std::vector<int32_t> n_before;  // by span: partial rows that each of its rows has before its own
  std::vector<int32_t> n_parts;   // by row
};

// spans: cover the step's rows but padding, in row order. segments: see SharedSegment. Neither the
// block table nor the positions of single rows are needed.
void plan_attention(std::span<const RowSpan> spans, std::span<const SharedSegment> segments,
                    const AttentionShape& shape, const AttentionLimits& limits,
                    AttentionPlanScratch& scratch, AttentionLists& lists);

}  // namespace prefold::cuda
