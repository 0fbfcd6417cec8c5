#include "plan/kept_rows.h"

#include <doctest/doctest.h>

#include <tuple>

namespace prefold {

static bool operator==(const RowSpan& a, const RowSpan& b) {
  return std::tie(a.first_row, a.n_rows, a.first_position, a.first_block, a.n_blocks) ==
         std::tie(b.first_row, b.n_rows, b.first_position, b.first_block, b.n_blocks);
}
static bool operator==(const SharedSegment& a, const SharedSegment& b) {
  return std::tie(a.begin_block, a.end_block, a.first_span, a.n_spans) ==
         std::tie(b.begin_block, b.end_block, b.first_span, b.n_spans);
}
static bool operator==(const AdapterRows& a, const AdapterRows& b) {
  return std::tie(a.first_row, a.n_rows, a.adapter) == std::tie(b.first_row, b.n_rows, b.adapter);
}

namespace {

using Places = std::vector<int32_t>;

TEST_CASE("rows are wanted that are sampled from, scored, summed up or embedded") {
  StepPlan plan;
  plan.token_ids.resize(10);
  plan.samples = {{1, 0}, {1, 1}};
  plan.scores = {{3, 7, 0}};
  plan.sums = {{5, 2, 0}};
  plan.embeds = {{9, EmbedRow::kNoSum}, {0, 0}};  // the second is of a sum: its row is not read
  WantedRows wanted;
  find_wanted_rows(plan, wanted);
  CHECK(wanted.rows == Places{1, 3, 5, 6, 9});
  CHECK(wanted.place == Places{-1, 0, -1, 1, -1, 2, 3, -1, -1, 4});
  find_wanted_rows({}, wanted);
  CHECK(wanted.rows.empty());
  CHECK(wanted.place.empty());
}

// Three sequences: rows 0 to 4 at positions from 60 on, row 5, rows 6 and 7.
const std::vector<RowSpan> kSpans{{0, 5, 60, 0, 3}, {5, 1, 64, 3, 3}, {6, 2, 70, 6, 3}};

TEST_CASE("spans keep their positions and blocks, and fall apart at gaps") {
  KeptRows kept;
  keep_rows(kSpans, {}, {}, Places{0, 2, 3, 6}, kept);
  CHECK(kept.spans == std::vector<RowSpan>{{0, 1, 60, 0, 3}, {1, 2, 62, 0, 3}, {3, 1, 70, 6, 3}});
  keep_rows(kSpans, {}, {}, Places{0, 1, 2, 3, 4, 5, 6, 7}, kept);
  CHECK(kept.spans == kSpans);
  keep_rows(kSpans, {}, {}, {}, kept);
  CHECK(kept.spans.empty());
}

TEST_CASE("segments go on where two spans or more are left to share them") {
  const std::vector<SharedSegment> segments{{0, 1, 0, 3}, {1, 2, 1, 2}};
  KeptRows kept;
  keep_rows(kSpans, segments, {}, Places{4, 5, 7}, kept);
  CHECK(kept.segments == segments);
  keep_rows(kSpans, segments, {}, Places{0, 2, 7}, kept);  // two spans and one
  CHECK(kept.segments == std::vector<SharedSegment>{{0, 1, 0, 3}});
  keep_rows(kSpans, segments, {}, Places{5, 6}, kept);
  CHECK(kept.segments == std::vector<SharedSegment>{{0, 1, 0, 2}, {1, 2, 0, 2}});
  keep_rows(kSpans, segments, {}, Places{6}, kept);
  CHECK(kept.segments.empty());
}

TEST_CASE("adapters keep the rows that are left of theirs") {
  const std::vector<AdapterRows> adapters{{0, 5, 2}, {6, 1, 0}, {7, 1, 1}};
  KeptRows kept;
  keep_rows(kSpans, {}, adapters, Places{1, 3, 5, 7}, kept);
  CHECK(kept.adapters == std::vector<AdapterRows>{{0, 2, 2}, {3, 1, 1}});
}

}  // namespace
}  // namespace prefold
