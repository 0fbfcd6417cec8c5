// What is left of a step's rows when only some go on: the last layer computes no more than keys and
// values for rows of which nothing is read afterwards.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/row_span.h"
#include "plan/step_plan.h"

namespace prefold {

// The rows of which something is read after the layers: logits, or the hidden state itself.
struct WantedRows {
  static constexpr int32_t kNowhere = -1;
  std::vector<int32_t> rows;   // ascending
  std::vector<int32_t> place;  // by row of the plan: which of `rows` it is, or kNowhere
};
void find_wanted_rows(const StepPlan& plan, WantedRows& wanted);

// Spans, segments and adapters of such rows, numbered from 0 in their order.
struct KeptRows {
  std::vector<RowSpan> spans;  // one with gaps becomes several
  std::vector<SharedSegment> segments;
  std::vector<AdapterRows> adapters;
  std::vector<int32_t> first_span;  // by span before: where those that it became begin
};

// kept: ascending, each in a span. Segments of which less than two spans are left are dropped: they
// change no answer, and save nothing.
void keep_rows(std::span<const RowSpan> spans, std::span<const SharedSegment> segments,
               std::span<const AdapterRows> adapters, std::span<const int32_t> kept, KeptRows& out);

}  // namespace prefold
