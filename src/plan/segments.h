// Which blocks of a step's rows are read once for several sequences: found from the block tables
// alone, chosen by what they save.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/cost_model.h"
#include "plan/row_span.h"

namespace prefold {

// A maximal run of spans that have their first end_block blocks in common. Candidates nest, as the
// nodes of a tree do.
struct SegmentCandidate {
  int32_t end_block = 0;
  int32_t first_span = 0;
  int32_t n_spans = 0;
  int32_t parent = -1;
  int32_t n_above = 0;      // candidates around it
  int32_t covered_to = 0;   // end block of the innermost chosen one among it and those around it
  int32_t covering = 0;     // which of them that is, counted from outside; 0: none
  double tile_gain_ns = 0;  // what a tile read once for all saves
  size_t first_state = 0;   // of its n_above + 2 states
};

// Kept from step to step, so that a step allocates nothing once it has seen the largest one.
struct SegmentScratch {
  std::vector<SegmentCandidate> candidates, open;
  std::vector<int32_t> path;
  std::vector<double> own_ns_before;  // by span: one tile for each span before it
  std::vector<double> below_ns;       // by state: what the chosen ones inside a candidate add
  std::vector<uint8_t> is_chosen;     // by state
};

// The shared segments that make the step's attention cheapest, that is, the subset of the
// candidates for which attention_ns (cost_model.h) is least, the exact minimum. A candidate that is
// left out has its blocks read by the chosen ones inside it, or by each span itself. n_group: query
// heads that share a KV head. BatchLLM (arXiv 2412.03594) keeps one level, and hoists one segment
// out of another whenever that alone saves tokens; here every set of levels is compared.
//
// Spans must be ordered so that those with common blocks are neighbours (depth-first order of the
// prefix tree). `segments` is replaced, outer ones first. Time: one pass over the block tables,
// plus candidates x their depth, which is no more than the blocks in the tables.
void choose_segments(std::span<const RowSpan> spans, std::span<const int32_t> block_ids,
                     const AttentionCosts& costs, int32_t n_group, SegmentScratch& scratch,
                     std::vector<SharedSegment>& segments);

}  // namespace prefold
