#include "plan/segments.h"

#include <algorithm>

#include "base/check.h"

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

}  // namespace

std::vector<SharedSegment> shared_segments(std::span<const RowSpan> spans,
                                           std::span<const int32_t> block_ids) {
  // Intervals of the array of neighbours' common lengths, found with a stack: an open segment is a
  // run of spans that have at least end_block blocks in common.
  std::vector<SharedSegment> segments, open;
  const auto close_down_to = [&](int32_t common, int32_t next_span) {
    int32_t first_span = next_span - 1;
    while (!open.empty() && open.back().end_block > common) {
      SharedSegment done = open.back();
      open.pop_back();
      first_span = done.first_span;
      done.n_spans = next_span - done.first_span;
      done.begin_block = std::max(common, open.empty() ? 0 : open.back().end_block);
      segments.push_back(done);
    }
    return first_span;
  };
  for (int32_t i = 1; i < static_cast<int32_t>(spans.size()); ++i) {
    const int32_t common = common_blocks(spans[i - 1], spans[i], block_ids);
    const int32_t first_span = close_down_to(common, i);
    if (common > (open.empty() ? 0 : open.back().end_block)) {
      open.push_back({0, common, first_span, 0});
    }
  }
  close_down_to(0, static_cast<int32_t>(spans.size()));
  // Closed innermost first; the op wants outer ones first.
  std::sort(segments.begin(), segments.end(), [](const SharedSegment& a, const SharedSegment& b) {
    return a.begin_block != b.begin_block ? a.begin_block < b.begin_block
                                          : a.first_span < b.first_span;
  });
  return segments;
}

}  // namespace prefold
