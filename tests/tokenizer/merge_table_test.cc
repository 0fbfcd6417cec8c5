#include "tokenizer/merge_table.h"

#include <doctest/doctest.h>

#include <random>

using namespace prefold;
using Ids = std::vector<int32_t>;

namespace {

// The definition: merge the leftmost pair of the lowest rank until there is none.
void merge_by_scanning(const MergeTable& table, Ids& symbols) {
  while (true) {
    const Merge* best = nullptr;
    size_t best_pos = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge* merge = table.find(symbols[i], symbols[i + 1]);
      if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
        best = merge;
        best_pos = i;
      }
    }
    if (best == nullptr) return;
    symbols[best_pos] = best->merged;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_pos) + 1);
  }
}

}  // namespace

TEST_CASE("merging equals repeated scanning for the best pair, on random tables") {
  std::mt19937 random(3);
  MergeScratch scratch;
  for (int round = 0; round < 400; ++round) {
    const int32_t n_tokens = 3 + static_cast<int32_t>(random() % 12);
    const auto token = [&] { return static_cast<int32_t>(random() % n_tokens); };
    std::vector<Merge> merges;
    for (int i = 0; i < 20; ++i) {  // ranks repeat, as scores do
      merges.push_back({token(), token(), static_cast<int32_t>(random() % 8), token()});
    }
    const MergeTable table(merges, n_tokens);
    Ids symbols(random() % 60);
    for (int32_t& symbol : symbols) symbol = token();
    Ids expected = symbols;
    merge_by_scanning(table, expected);
    apply_merges(table, scratch, symbols);
    CHECK(symbols == expected);
  }
}

TEST_CASE("of merges of the same pair the last counts") {
  const MergeTable table({{0, 1, 0, 2}, {1, 0, 1, 2}, {0, 1, 2, 3}}, 4);
  REQUIRE(table.find(0, 1) != nullptr);
  CHECK(table.find(0, 1)->merged == 3);
  CHECK(table.find(0, 0) == nullptr);
  CHECK(table.find(3, 3) == nullptr);
}

TEST_CASE("a million equal symbols merge without quadratic work") {
  // a+a=b, b+b=c, ... : twenty levels, so that every symbol takes part in many merges.
  std::vector<Merge> merges;
  for (int32_t level = 0; level < 20; ++level) merges.push_back({level, level, level, level + 1});
  const MergeTable table(merges, 21);
  MergeScratch scratch;
  Ids symbols(size_t{1} << 20, 0);
  apply_merges(table, scratch, symbols);
  CHECK(symbols == Ids{20});
}
