#include "plan/segments.h"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <tuple>

using namespace prefold;

namespace {

// Spans of one row each, at the end of the given tables.
struct Tables {
  std::vector<RowSpan> spans;
  std::vector<int32_t> block_ids;

  void add(const std::vector<int32_t>& blocks, int32_t position) {
    spans.push_back({static_cast<int32_t>(spans.size()), 1, position,
                     static_cast<int32_t>(block_ids.size()), static_cast<int32_t>(blocks.size())});
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

}  // namespace

TEST_CASE("sequences without common blocks have no shared segment") {
  Tables t;
  t.add({1, 2}, 40);
  t.add({3}, 10);
  CHECK(shared_segments(t.spans, t.block_ids).empty());
  CHECK(shared_segments({}, {}).empty());
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
  CHECK(as_tuples(shared_segments(t.spans, t.block_ids)) == wanted);
}

TEST_CASE("a common block that a span is still filling is not shared") {
  Tables t;
  t.add({1, 2}, 63);  // its row is the last of block 2
  t.add({1, 2}, 64);
  const std::vector<std::tuple<int, int, int, int>> wanted{{0, 1, 0, 2}};
  CHECK(as_tuples(shared_segments(t.spans, t.block_ids)) == wanted);
}

TEST_CASE("segments cover exactly the blocks that neighbours have in common") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    // Random paths of a random tree, in depth-first order; block ids name the tree's nodes.
    std::set<std::vector<int32_t>> paths;
    for (int i = 0; i < 12; ++i) {
      std::vector<int32_t> path;
      int32_t id = 0;
      for (size_t depth = 1 + random() % 6; depth > 0; --depth) {
        id = id * 3 + 1 + static_cast<int32_t>(random() % 2);
        path.push_back(id);
      }
      paths.insert(path);
    }
    Tables t;
    for (const auto& path : paths) {
      t.add(path, static_cast<int32_t>(path.size()) * kKvBlockTokens);
    }
    std::vector<std::vector<int>> covered(t.spans.size());
    for (const SharedSegment& s : shared_segments(t.spans, t.block_ids)) {
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
    const std::vector<std::vector<int32_t>> sorted(paths.begin(), paths.end());
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
