#include "plan/segments.h"

#include <algorithm>

namespace prefold {
namespace {

int32_t common_blocks(const RowSpan& a, const RowSpan& b, std::span<const int32_t> block_ids) {
  const int32_t* x = block_ids.data() + a.first_block;
  const int32_t* y = block_ids.data() + b.first_block;
  // Only blocks that are full before this step's rows of both.
  const int32_t limit = std::min({a.n_blocks, b.n_blocks, a.first_position / kKvBlockTokens,
                                  b.first_position / kKvBlockTokens});
  return static_cast<int32_t>(std::mismatch(x, x + limit, y).first - x);
}

// The candidates, inner ones before those around them: intervals of the array of neighbours' common
// lengths, found with a stack of open ones, which have at least end_block blocks in common so far.
// What could not pay even if it began at block 0 is none.
void find_candidates(std::span<const RowSpan> spans, std::span<const int32_t> block_ids,
                     const AttentionCosts& costs, int32_t n_group, SegmentScratch& s) {
  s.own_ns_before.assign(1, 0.0);
  for (const RowSpan& span : spans) {
    s.own_ns_before.push_back(s.own_ns_before.back() +
                              tile_ns(costs, int64_t{span.n_rows} * n_group));
  }
  s.candidates.clear();
  s.open.clear();
  const auto close_down_to = [&](int32_t common, int32_t next_span) {
    int32_t first_span = next_span - 1;
    while (!s.open.empty() && s.open.back().end_block > common) {
      SegmentCandidate done = s.open.back();
      s.open.pop_back();
      first_span = done.first_span;
      done.n_spans = next_span - first_span;
      const RowSpan& last = spans[next_span - 1];
      const int64_t n_rows = last.first_row + last.n_rows - spans[first_span].first_row;
      done.tile_gain_ns = s.own_ns_before[next_span] - s.own_ns_before[first_span] -
                          tile_ns(costs, n_rows * n_group);
      if (done.end_block * done.tile_gain_ns > costs.segment_ns) s.candidates.push_back(done);
    }
    return first_span;
  };
  for (int32_t i = 1; i < static_cast<int32_t>(spans.size()); ++i) {
    const int32_t common = common_blocks(spans[i - 1], spans[i], block_ids);
    const int32_t first_span = close_down_to(common, i);
    if (common > (s.open.empty() ? 0 : s.open.back().end_block)) {
      SegmentCandidate& opened = s.open.emplace_back();
      opened.end_block = common;
      opened.first_span = first_span;
    }
  }
  close_down_to(0, static_cast<int32_t>(spans.size()));
}

// From outside in: whom each candidate lies in, and where its states stand.
void link_candidates(SegmentScratch& s) {
  size_t n_states = 0;
  s.path.clear();
  for (int32_t v = static_cast<int32_t>(s.candidates.size()) - 1; v >= 0; --v) {
    SegmentCandidate& candidate = s.candidates[v];
    while (!s.path.empty() && candidate.first_span < s.candidates[s.path.back()].first_span) {
      s.path.pop_back();
    }
    candidate.parent = s.path.empty() ? -1 : s.path.back();
    candidate.n_above = static_cast<int32_t>(s.path.size());
    candidate.first_state = n_states;
    n_states += candidate.n_above + 2;
    s.path.push_back(v);
  }
  s.below_ns.assign(n_states, 0.0);
  s.is_chosen.assign(n_states, 0);
}

// From inside out. State k of a candidate: the innermost chosen one around it is the k-th from
// outside, 0 being none and n_above + 1 itself; its cost is measured against reading every block
// by each span itself.
void solve(double segment_ns, SegmentScratch& s) {
  for (const SegmentCandidate& v : s.candidates) {
    const double chosen_below_ns = segment_ns + s.below_ns[v.first_state + v.n_above + 1];
    int32_t around = v.parent;
    for (int32_t k = v.n_above; k >= 0; --k) {
      const int32_t begin_block = k > 0 ? s.candidates[around].end_block : 0;
      const double with_ns = chosen_below_ns - (v.end_block - begin_block) * v.tile_gain_ns;
      const double without_ns = s.below_ns[v.first_state + k];
      s.is_chosen[v.first_state + k] = with_ns < without_ns;
      if (v.parent >= 0) {
        s.below_ns[s.candidates[v.parent].first_state + k] += std::min(with_ns, without_ns);
      }
      if (k > 0) around = s.candidates[around].parent;
    }
  }
}

}  // namespace

void choose_segments(std::span<const RowSpan> spans, std::span<const int32_t> block_ids,
                     const AttentionCosts& costs, int32_t n_group, SegmentScratch& scratch,
                     std::vector<SharedSegment>& segments) {
  segments.clear();
  find_candidates(spans, block_ids, costs, n_group, scratch);
  link_candidates(scratch);
  solve(costs.segment_ns, scratch);
  std::vector<SegmentCandidate>& candidates = scratch.candidates;
  for (int32_t i = static_cast<int32_t>(candidates.size()) - 1; i >= 0; --i) {
    SegmentCandidate& v = candidates[i];
    v.covered_to = v.parent >= 0 ? candidates[v.parent].covered_to : 0;
    v.covering = v.parent >= 0 ? candidates[v.parent].covering : 0;
    if (scratch.is_chosen[v.first_state + v.covering] == 0) continue;
    segments.push_back({v.covered_to, v.end_block, v.first_span, v.n_spans});
    v.covered_to = v.end_block;
    v.covering = v.n_above + 1;
  }
  std::sort(segments.begin(), segments.end(), [](const SharedSegment& a, const SharedSegment& b) {
    return a.begin_block != b.begin_block ? a.begin_block < b.begin_block
                                          : a.first_span < b.first_span;
  });
}

}  // namespace prefold
