#include "plan/kept_rows.h"

#include <algorithm>

#include "base/check.h"

namespace prefold {

void find_wanted_rows(const StepPlan& plan, WantedRows& wanted) {
  std::vector<int32_t>& place = wanted.place;
  place.assign(static_cast<size_t>(plan.n_rows()), WantedRows::kNowhere);
  const auto want = [&](int32_t first_row, int32_t n_rows) {
    std::fill_n(place.begin() + first_row, n_rows, 0);
  };
  for (const SampleRow& sample : plan.samples) want(sample.row, 1);
  for (const ScoreRow& score : plan.scores) want(score.row, 1);
  for (const SumRows& sum : plan.sums) want(sum.first_row, sum.n_rows);
  for (const EmbedRow& embed : plan.embeds) {
    if (embed.sum_slot == EmbedRow::kNoSum) want(embed.row, 1);
  }
  wanted.rows.clear();
  for (int32_t row = 0; row < plan.n_rows(); ++row) {
    if (place[row] == WantedRows::kNowhere) continue;
    place[row] = static_cast<int32_t>(wanted.rows.size());
    wanted.rows.push_back(row);
  }
}

void keep_rows(std::span<const RowSpan> spans, std::span<const SharedSegment> segments,
               std::span<const AdapterRows> adapters, std::span<const int32_t> kept,
               KeptRows& out) {
  out.spans.clear();
  out.segments.clear();
  out.adapters.clear();
  out.first_span.clear();
  size_t next = 0;
  for (const RowSpan& span : spans) {
    out.first_span.push_back(static_cast<int32_t>(out.spans.size()));
    const int32_t end_row = span.first_row + span.n_rows;
    while (next < kept.size() && kept[next] < end_row) {
      const int32_t skipped = kept[next] - span.first_row;
      CHECK(skipped >= 0);
      RowSpan run = span;
      run.first_row = static_cast<int32_t>(next);
      run.first_position += skipped;
      run.n_rows = 1;
      for (++next; next < kept.size() && kept[next] < end_row; ++next) {
        if (kept[next] != kept[next - 1] + 1) break;
        ++run.n_rows;
      }
      out.spans.push_back(run);
    }
  }
  out.first_span.push_back(static_cast<int32_t>(out.spans.size()));
  CHECK(next == kept.size());

  for (SharedSegment segment : segments) {
    const int32_t end = out.first_span[segment.first_span + segment.n_spans];
    segment.first_span = out.first_span[segment.first_span];
    segment.n_spans = end - segment.first_span;
    if (segment.n_spans > 1) out.segments.push_back(segment);
  }
  const auto place_of = [&](int32_t row) {
    return static_cast<int32_t>(std::lower_bound(kept.begin(), kept.end(), row) - kept.begin());
  };
  for (const AdapterRows& run : adapters) {
    const int32_t first = place_of(run.first_row);
    const int32_t end = place_of(run.first_row + run.n_rows);
    if (first < end) out.adapters.push_back({first, end - first, run.adapter});
  }
}

}  // namespace prefold
