#include "plan/segments.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <tuple>

using namespace prefold;

namespace {

// Spans at the end of the given tables.
struct Tables {
  std::vector<RowSpan> spans;
  std::vector<int32_t> block_ids;

  void add(const std::vector<int32_t>& blocks, int32_t position, int32_t n_rows = 1) {
    const int32_t first_row = spans.empty() ? 0 : spans.back().first_row + spans.back().n_rows;
    spans.push_back({first_row, n_rows, position, static_cast<int32_t>(block_ids.size()),
                     static_cast<int32_t>(blocks.size())});
    block_ids.insert(block_ids.end(), blocks.begin(), blocks.end());
  }
};

std::vector<std::tuple<int, int, int, int>> as_tuples(const std::vector<SharedSegment>& segments) {
  std::vector<std::tuple<int, int, int, int>> tuples;
  for (const SharedSegment& s : segments) {
    tuples.emplace_back(s.begin_block, s.end_block, s.first_span, s.n_spans);
  }
  return tuples;
}

// Reading costs the same for any number of pairs, a segment nothing: whatever is shared pays.
const AttentionCosts kSharingIsFree{{{1, 10}, {1000, 10}}, 0};

std::vector<SharedSegment> chosen(const Tables& t, const AttentionCosts& costs,
                                  int32_t n_group = 1) {
  SegmentScratch scratch;
  std::vector<SharedSegment> segments;
  choose_segments(t.spans, t.block_ids, costs, n_group, scratch, segments);
  return segments;
}

// Everything below is worked out anew, pair by pair, so that nothing of segments.cc is trusted.

int32_t shared_blocks(const Tables& t, int32_t first, int32_t end) {
  int32_t common = INT32_MAX;
  for (int32_t i = first; i < end; ++i) {
    common = std::min({common, t.spans[i].n_blocks, t.spans[i].first_position / kKvBlockTokens});
    for (int32_t b = 0; b < common; ++b) {
      if (t.block_ids[t.spans[i].first_block + b] != t.block_ids[t.spans[first].first_block + b]) {
        common = b;
      }
    }
  }
  return common;
}

// The maximal runs of at least two spans with common blocks, outer ones first.
std::vector<SharedSegment> all_candidates(const Tables& t) {
  const int32_t n = static_cast<int32_t>(t.spans.size());
  std::vector<SharedSegment> candidates;
  for (int32_t first = 0; first < n; ++first) {
    for (int32_t end = n; end >= first + 2; --end) {
      const int32_t common = shared_blocks(t, first, end);
      const bool grows_left = first > 0 && shared_blocks(t, first - 1, end) == common;
      const bool grows_right = end < n && shared_blocks(t, first, end + 1) == common;
      if (common == 0 || grows_left || grows_right) continue;
      candidates.push_back({0, common, first, end - first});
    }
  }
  return candidates;
}

bool lies_in(const SharedSegment& inner, const SharedSegment& outer) {
  return inner.first_span >= outer.first_span &&
         inner.first_span + inner.n_spans <= outer.first_span + outer.n_spans &&
         inner.n_spans < outer.n_spans;
}

// The candidates whose bits are set, each beginning where the innermost one around it ends.
std::vector<SharedSegment> subset(const std::vector<SharedSegment>& candidates, uint32_t bits) {
  std::vector<SharedSegment> segments;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if ((bits >> i & 1) == 0) continue;
    SharedSegment segment = candidates[i];
    for (const SharedSegment& other : segments) {
      if (lies_in(segment, other)) {
        segment.begin_block = std::max(segment.begin_block, other.end_block);
      }
    }
    segments.push_back(segment);
  }
  return segments;
}

double least_ns(const Tables& t, const AttentionCosts& costs, int32_t n_group) {
  const std::vector<SharedSegment> candidates = all_candidates(t);
  REQUIRE(candidates.size() <= 16);
  double least = attention_ns(costs, n_group, t.spans, {});
  for (uint32_t bits = 1; bits < 1u << candidates.size(); ++bits) {
    least = std::min(least, attention_ns(costs, n_group, t.spans, subset(candidates, bits)));
  }
  return least;
}

// From no segment on, whichever single one saves most is taken, until none saves anything.
double greedy_ns(const Tables& t, const AttentionCosts& costs, int32_t n_group) {
  const std::vector<SharedSegment> candidates = all_candidates(t);
  const auto ns = [&](uint32_t bits) {
    return attention_ns(costs, n_group, t.spans, subset(candidates, bits));
  };
  uint32_t taken = 0;
  while (true) {
    uint32_t best = taken;
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (ns(taken | 1u << i) < ns(best)) best = taken | 1u << i;
    }
    if (best == taken) return ns(taken);
    taken = best;
  }
}

// Random paths of a random tree, in depth-first order; block ids name the tree's nodes.
std::vector<std::vector<int32_t>> random_paths(std::mt19937& random, int n_paths) {
  std::set<std::vector<int32_t>> paths;
  const int32_t stretch = 1 + static_cast<int32_t>(random() % 8);
  for (int i = 0; i < n_paths; ++i) {
    std::vector<int32_t> path;
    int32_t id = 0;
    for (size_t depth = 1 + random() % 6; depth > 0; --depth) {
      id = id * 3 + 1 + static_cast<int32_t>(random() % 2);
      const int32_t n_blocks = 1 + id % stretch;
      for (int32_t b = 0; b < n_blocks; ++b) path.push_back(id * 10 + b);
    }
    paths.insert(path);
  }
  return {paths.begin(), paths.end()};
}

AttentionCosts random_costs(std::mt19937& random) {
  AttentionCosts costs;
  costs.segment_ns = static_cast<double>(random() % 3 == 0 ? 0 : random() % 400);
  double ns = 0;
  for (const int32_t n : {1, 2, 4, 6, 12, 24}) {
    ns += 1 + static_cast<double>(random() % 40);
    costs.tile_ns.push_back({n, ns});
  }
  return costs;
}

}  // namespace

TEST_CASE("sequences without common blocks have no shared segment") {
  Tables t;
  t.add({1, 2}, 40);
  t.add({3}, 10);
  CHECK(chosen(t, kSharingIsFree).empty());
  CHECK(chosen({}, kSharingIsFree).empty());
}

TEST_CASE("nested sharing gives nested segments, outer ones first") {
  Tables t;
  t.add({1, 2, 3, 10}, 100);
  t.add({1, 2, 3, 11}, 97);
  t.add({1, 2, 12}, 70);
  t.add({1, 2, 13, 14}, 100);
  t.add({20}, 5);
  t.add({30, 31}, 33);
  t.add({30, 32}, 33);
  const std::vector<std::tuple<int, int, int, int>> wanted{
      {0, 2, 0, 4}, {0, 1, 5, 2}, {2, 3, 0, 2}};
  CHECK(as_tuples(chosen(t, kSharingIsFree)) == wanted);
}

TEST_CASE("a common block that a span is still filling is not shared") {
  Tables t;
  t.add({1, 2}, 63);  // its row is the last of block 2
  t.add({1, 2}, 64);
  const std::vector<std::tuple<int, int, int, int>> wanted{{0, 1, 0, 2}};
  CHECK(as_tuples(chosen(t, kSharingIsFree)) == wanted);
}

TEST_CASE("a segment that does not pay is left out, and what it covered is read inside it") {
  Tables t;
  t.add({1, 2, 3, 4, 10}, 130);
  t.add({1, 2, 3, 4, 11}, 130);
  t.add({1, 12}, 40);
  // One tile read once instead of three times saves 20; four read once instead of twice, 40.
  AttentionCosts costs{{{1, 10}, {1000, 10}}, 25};
  const std::vector<std::tuple<int, int, int, int>> inner_alone{{0, 4, 0, 2}};
  CHECK(as_tuples(chosen(t, costs)) == inner_alone);
  costs.segment_ns = 9;  // the outer one adds 10: it serves the third span too
  const std::vector<std::tuple<int, int, int, int>> both{{0, 1, 0, 3}, {1, 4, 0, 2}};
  CHECK(as_tuples(chosen(t, costs)) == both);
  costs.segment_ns = 40;
  CHECK(chosen(t, costs).empty());
}

TEST_CASE("heads that share a KV head count as pairs") {
  Tables t;
  t.add({1, 2, 3, 10}, 100);
  t.add({1, 2, 3, 11}, 100);
  // From four pairs on the kernel is full: nothing is won by more of them.
  const AttentionCosts costs{{{1, 10}, {4, 10}, {8, 20}}, 5};
  CHECK(chosen(t, costs, 2).size() == 1);
  CHECK(chosen(t, costs, 4).empty());
}

TEST_CASE("two segments pay together where neither is better than the one around them") {
  Tables t;
  const std::vector<int32_t> root(5, 1);
  for (int32_t i = 0; i < 4; ++i) {
    std::vector<int32_t> path = root;
    path.insert(path.end(), 9, 2 + i / 2);
    path.push_back(10 + i);
    t.add(path, 14 * kKvBlockTokens);
  }
  const AttentionCosts costs{{{1, 1}, {1000, 1}}, 10};
  // Tiles saved, less 10 a segment: the outer one alone 5, with an inner one 4, with both 3;
  // an inner one alone 4; both without the outer one 8.
  const double flat_ns = attention_ns(costs, 1, t.spans, {});
  CHECK(flat_ns - greedy_ns(t, costs, 1) == 5);
  const std::vector<std::tuple<int, int, int, int>> wanted{{0, 14, 0, 2}, {0, 14, 2, 2}};
  const std::vector<SharedSegment> segments = chosen(t, costs);
  CHECK(as_tuples(segments) == wanted);
  CHECK(flat_ns - attention_ns(costs, 1, t.spans, segments) == 8);
}

TEST_CASE("no subset of the candidates is cheaper than the one chosen") {
  std::mt19937 random(2);
  SegmentScratch scratch;  // reused, as from step to step
  std::vector<SharedSegment> segments;
  int n_compared = 0, n_greedy_worse = 0, n_partly = 0, n_nested = 0;
  while (n_compared < 600) {
    Tables t;
    for (const auto& path : random_paths(random, 2 + static_cast<int>(random() % 14))) {
      const int32_t n_rows = random() % 4 == 0 ? 1 + static_cast<int32_t>(random() % 5) : 1;
      // Now and then the last block is full before the rows, now and then it is not.
      const int32_t n_full = static_cast<int32_t>(path.size()) - static_cast<int32_t>(random() % 2);
      t.add(path, n_full * kKvBlockTokens, n_rows);
    }
    const std::vector<SharedSegment> candidates = all_candidates(t);
    if (candidates.size() > 12) continue;
    ++n_compared;
    const AttentionCosts costs = random_costs(random);
    const int32_t n_group = 1 + static_cast<int32_t>(random() % 3);
    choose_segments(t.spans, t.block_ids, costs, n_group, scratch, segments);
    const double ns = attention_ns(costs, n_group, t.spans, segments);
    CHECK(ns == doctest::Approx(least_ns(t, costs, n_group)).epsilon(1e-12));
    n_greedy_worse += greedy_ns(t, costs, n_group) > ns * (1 + 1e-9);
    n_partly += !segments.empty() && segments.size() < candidates.size();
    n_nested += std::any_of(segments.begin(), segments.end(),
                            [](const SharedSegment& s) { return s.begin_block > 0; });
  }
  CHECK(n_greedy_worse > 5);
  CHECK(n_partly > 100);
  CHECK(n_nested > 50);
}

TEST_CASE("where everything pays, segments cover exactly what neighbours have in common") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::vector<std::vector<int32_t>> sorted = random_paths(random, 12);
    Tables t;
    for (const auto& path : sorted) {
      t.add(path, static_cast<int32_t>(path.size()) * kKvBlockTokens);
    }
    std::vector<std::vector<int>> covered(t.spans.size());
    for (const SharedSegment& s : chosen(t, kSharingIsFree)) {
      CHECK(s.n_spans >= 2);
      for (int32_t i = s.first_span; i < s.first_span + s.n_spans; ++i) {
        for (int32_t b = s.begin_block; b < s.end_block; ++b) {
          CHECK(t.block_ids[t.spans[i].first_block + b] ==
                t.block_ids[t.spans[s.first_span].first_block + b]);
          CHECK(b == static_cast<int32_t>(covered[i].size()));  // outer first, no gap, no overlap
          covered[i].push_back(b);
        }
      }
    }
    for (size_t i = 0; i < sorted.size(); ++i) {
      size_t common = 0;
      for (size_t j = 0; j < sorted.size(); ++j) {
        if (i == j) continue;
        size_t n = 0;
        while (n < sorted[i].size() && n < sorted[j].size() && sorted[i][n] == sorted[j][n]) ++n;
        common = std::max(common, n);
      }
      CHECK(covered[i].size() == common);
    }
  }
}
