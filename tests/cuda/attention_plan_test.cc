// None of these needs a GPU.
#include "cuda/attention_plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace prefold::cuda {
namespace {

// A plan with storage of its own.
struct Plan {
  Plan(const std::vector<RowSpan>& spans, const std::vector<SharedSegment>& segments,
       const AttentionShape& shape, const AttentionLimits& limits)
      : items(limits.n_items), merges(limits.n_merges), parts(limits.n_parts) {
    AttentionPlanScratch scratch(limits);
    lists.items = items;
    lists.merges = merges;
    lists.parts = parts;
    plan_attention(spans, segments, shape, limits, scratch, lists);
    items.resize(lists.counts.n_items);
    merges.resize(lists.counts.n_merges);
    parts.resize(lists.n_parts);
  }

  std::vector<AttentionItem> items;
  std::vector<AttentionMerge> merges;
  std::vector<int32_t> parts;
  AttentionLists lists;
};

int32_t n_rows_of(const std::vector<RowSpan>& spans) {
  return spans.empty() ? 0 : spans.back().first_row + spans.back().n_rows;
}

// One row of a span that has so many positions, one after the other.
std::vector<RowSpan> decode_spans(const std::vector<int32_t>& n_positions) {
  std::vector<RowSpan> spans;
  int32_t first_block = 0;
  for (const int32_t n : n_positions) {
    const int32_t n_blocks = (n + kKvBlockTokens - 1) / kKvBlockTokens;
    spans.push_back({static_cast<int32_t>(spans.size()), 1, n - 1, first_block, n_blocks});
    first_block += n_blocks;
  }
  return spans;
}

// What attention.h asks of the lists: each row's items cover what it sees once, in the order of its
// parts; items that go over several chunks are the first of their rows; no partial row has two
// owners. `segments` may be followed or not: shared items read the members' common blocks.
void check_plan(const Plan& plan, const std::vector<RowSpan>& spans, const AttentionShape& shape,
                const AttentionLimits& limits) {
  const int32_t n_rows = n_rows_of(spans);
  std::vector<int32_t> n_direct(n_rows), n_owners(limits.n_partial_rows);
  std::vector<const AttentionItem*> owner(limits.n_partial_rows);
  std::vector<int32_t> owner_row(limits.n_partial_rows);
  std::vector<const AttentionItem*> direct(n_rows);
  int64_t last_cost = INT64_MAX;
  for (const AttentionItem& item : plan.items) {
    REQUIRE(item.n_rows > 0);
    REQUIRE(item.first_row + item.n_rows <= n_rows);
    CHECK(item.n_rows * (shape.n_heads / shape.n_kv_heads) <= shape.tile_rows);
    CHECK(item.begin_position % kCudaAttentionChunk == 0);
    CHECK(item.begin_position < item.end_position);
    const int64_t cost =
        (item.end_position - item.begin_position + kKvBlockTokens - 1) / kKvBlockTokens;
    CHECK(cost <= last_cost);
    last_cost = cost;
    for (int32_t i = 0; i < item.n_rows; ++i) {
      if (item.partial_row < 0) {
        ++n_direct[item.first_row + i];
        direct[item.first_row + i] = &item;
        continue;
      }
      REQUIRE(item.partial_row + i < plan.lists.n_partial_rows);
      ++n_owners[item.partial_row + i];
      owner[item.partial_row + i] = &item;
      owner_row[item.partial_row + i] = item.first_row + i;
    }
  }
  CHECK(plan.lists.n_partial_rows <= limits.n_partial_rows);
  for (int32_t i = 0; i < plan.lists.n_partial_rows; ++i) CHECK(n_owners[i] == 1);
  CHECK(plan.lists.n_parts == plan.lists.n_partial_rows);

  std::vector<std::vector<const AttentionItem*>> items_of_row(n_rows);
  for (const AttentionMerge& merge : plan.merges) {
    REQUIRE(items_of_row[merge.row].empty());
    CHECK(merge.n_parts >= 2);
    for (int32_t i = 0; i < merge.n_parts; ++i) {
      const int32_t part = plan.parts[merge.first_part + i];
      CHECK(owner_row[part] == merge.row);
      items_of_row[merge.row].push_back(owner[part]);
    }
  }
  for (const RowSpan& span : spans) {
    for (int32_t i = 0; i < span.n_rows; ++i) {
      const int32_t row = span.first_row + i;
      const int32_t position = span.first_position + i;
      CHECK(n_direct[row] == (items_of_row[row].empty() ? 1 : 0));
      if (items_of_row[row].empty()) items_of_row[row].push_back(direct[row]);
      // A row's items follow one another without a gap that the row sees.
      const int32_t first_seen = shape.window > 0 ? std::max(0, position - shape.window + 1) : 0;
      int32_t covered = 0;
      for (const AttentionItem* item : items_of_row[row]) {
        CHECK(item->begin_position >= covered);
        CHECK(item->begin_position <= std::max(covered, first_seen));
        if (item != items_of_row[row].front()) {
          CHECK(item->end_position - item->begin_position <= kCudaAttentionChunk);
        }
        covered = item->end_position;
      }
      CHECK(covered > position);
    }
  }
}

struct RandomStep {
  std::vector<RowSpan> spans;
  std::vector<SharedSegment> segments;
};

// Trees of segments up to three levels deep over spans of 1 to 100 rows.
RandomStep random_step(std::mt19937& random) {
  const auto pick = [&](int32_t n) { return static_cast<int32_t>(random() % n); };
  RandomStep step;
  int32_t first_row = 0;
  int32_t first_block = 0;
  const int32_t n_groups = 1 + pick(5);
  for (int32_t group = 0; group < n_groups; ++group) {
    const auto first_span = static_cast<int32_t>(step.spans.size());
    const int32_t n_members = 1 + pick(12);
    const int32_t n_levels = pick(4);
    int32_t begin_block = 0;
    int32_t begin_member = 0;
    std::vector<int32_t> shared_blocks(n_members, 0);
    for (int32_t level = 0; level < n_levels; ++level) {
      const int32_t end_block = begin_block + 1 + pick(40);
      step.segments.push_back(
          {begin_block, end_block, first_span + begin_member, n_members - begin_member});
      std::fill(shared_blocks.begin() + begin_member, shared_blocks.end(), end_block);
      begin_block = end_block;
      begin_member += pick(n_members - begin_member);
    }
    for (int32_t i = 0; i < n_members; ++i) {
      const int32_t n_rows = pick(2) == 0 ? 1 : 1 + pick(100);
      const int32_t position = shared_blocks[i] * kKvBlockTokens + pick(600);
      const int32_t n_blocks = (position + n_rows - 1) / kKvBlockTokens + 1;
      step.spans.push_back({first_row, n_rows, position, first_block, n_blocks});
      first_row += n_rows;
      first_block += n_blocks;
    }
  }
  std::stable_sort(
      step.segments.begin(), step.segments.end(),
      [](const SharedSegment& a, const SharedSegment& b) { return a.begin_block < b.begin_block; });
  return step;
}

}  // namespace

TEST_CASE("attention plan: every row's positions are covered once and in order [smoke]") {
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    CAPTURE(i);
    const RandomStep step = random_step(random);
    AttentionShape shape;
    shape.n_kv_heads = 1 + static_cast<int32_t>(random() % 8);
    shape.n_heads = shape.n_kv_heads * (1 + static_cast<int32_t>(random() % 16));
    shape.window = random() % 3 == 0 ? 1 + static_cast<int32_t>(random() % 900) : 0;
    shape.n_sms = random() % 2 == 0 ? 1 : 132;
    AttentionLimits limits = attention_limits(n_rows_of(step.spans), shape);
    check_plan(Plan(step.spans, step.segments, shape, limits), step.spans, shape, limits);
    limits.n_partial_rows = static_cast<int32_t>(random() % (limits.n_partial_rows + 1));
    check_plan(Plan(step.spans, step.segments, shape, limits), step.spans, shape, limits);
  }
}

TEST_CASE("attention plan: an empty step has no items") {
  const AttentionShape shape;
  const AttentionLimits limits = attention_limits(16, shape);
  const Plan plan({}, {}, shape, limits);
  CHECK(plan.items.empty());
  CHECK(plan.merges.empty());
}

TEST_CASE("attention plan: a segment is read once for all members, whole chunks of it") {
  AttentionShape shape;
  shape.n_heads = 32;
  shape.n_kv_heads = 8;
  const AttentionLimits limits = attention_limits(16, shape);
  const std::vector<RowSpan> spans = decode_spans(std::vector<int32_t>(16, 1030));
  const Plan plan(spans, {{0, 31, 0, 16}}, shape, limits);  // 992 positions in common
  // Split over the chunks, since 16 blocks of threads run at once: 0..767, and 16 own parts.
  int32_t n_shared = 0;
  for (const AttentionItem& item : plan.items) {
    if (item.n_rows == 16) {
      n_shared += item.end_position - item.begin_position;
    } else {
      CHECK(item.n_rows == 1);
      CHECK(item.begin_position >= 768);
    }
  }
  CHECK(n_shared == 768);
  CHECK(plan.merges.size() == 16);
  check_plan(plan, spans, shape, limits);
}

TEST_CASE("attention plan: a segment is not shared by members that fill tiles by themselves") {
  AttentionShape shape;
  shape.n_heads = 32;
  shape.n_kv_heads = 8;
  const AttentionLimits limits = attention_limits(64, shape);
  std::vector<RowSpan> spans;  // of 32 rows: two items of 16 rows each
  for (int32_t i = 0; i < 2; ++i) spans.push_back({i * 32, 32, 1024, i * 33, 33});
  const Plan plan(spans, {{0, 32, 0, 2}}, shape, limits);
  CHECK(plan.items.size() == 4);
  CHECK(plan.merges.empty());
}

TEST_CASE("attention plan: without room for partial states nothing is shared or split") {
  AttentionShape shape;
  shape.n_sms = 1000;
  AttentionLimits limits = attention_limits(4, shape);
  limits.n_partial_rows = 0;
  const std::vector<RowSpan> spans = decode_spans({5000, 5000, 5000, 5000});
  const Plan plan(spans, {{0, 100, 0, 4}}, shape, limits);
  CHECK(plan.items.size() == 4);
  CHECK(plan.merges.empty());
  for (const AttentionItem& item : plan.items) {
    CHECK(item.partial_row == -1);
    CHECK(item.begin_position == 0);
  }
}

TEST_CASE("attention plan: only a lone long sequence is split, into chunks") {
  AttentionShape shape;
  shape.n_heads = 8;
  shape.n_kv_heads = 2;
  shape.n_sms = 16;
  const AttentionLimits limits = attention_limits(256, shape);
  const std::vector<RowSpan> lone = decode_spans({4096});
  const Plan split(lone, {}, shape, limits);
  CHECK(split.items.size() == 16);  // for 2 KV heads and 32 blocks at once
  CHECK(split.merges.size() == 1);
  CHECK(split.merges[0].n_parts == 16);
  check_plan(split, lone, shape, limits);

  const Plan many(decode_spans(std::vector<int32_t>(200, 4096)), {}, shape, limits);
  CHECK(many.items.size() == 200);
  CHECK(many.merges.empty());
}

TEST_CASE("attention plan: blocks before all windows are in no item") {
  AttentionShape shape;
  shape.window = 300;
  const AttentionLimits limits = attention_limits(2, shape);
  const std::vector<RowSpan> spans = decode_spans({4000, 4001});
  const Plan plan(spans, {{0, 100, 0, 2}}, shape, limits);  // 3,200 positions, all out of sight
  CHECK(plan.items.size() == 2);
  CHECK(plan.merges.empty());
  for (const AttentionItem& item : plan.items) CHECK(item.begin_position == 3584);
}

}  // namespace prefold::cuda
