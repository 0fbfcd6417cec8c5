#include "tokenizer/merge_table.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace prefold {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
constexpr int32_t kAbsorbed = -1;  // a symbol that became part of the one to its left

bool later(const MergeScratch::Candidate& a, const MergeScratch::Candidate& b) {
  return a.order > b.order;
}

}  // namespace

MergeTable::MergeTable(std::vector<Merge> merges, int32_t n_tokens) : merges_(std::move(merges)) {
  const auto pair_of = [](const Merge& m) { return std::tuple(m.left, m.right); };
  std::stable_sort(merges_.begin(), merges_.end(),
                   [&](const Merge& a, const Merge& b) { return pair_of(a) < pair_of(b); });
  size_t n_kept = 0;
  for (const Merge& merge : merges_) {
    CHECK(merge.left >= 0 && merge.left < n_tokens);
    if (n_kept > 0 && pair_of(merges_[n_kept - 1]) == pair_of(merge)) --n_kept;
    merges_[n_kept++] = merge;
  }
  merges_.resize(n_kept);
  first_of_.assign(static_cast<size_t>(n_tokens) + 1, 0);
  for (const Merge& merge : merges_) ++first_of_[static_cast<size_t>(merge.left) + 1];
  for (size_t i = 1; i < first_of_.size(); ++i) first_of_[i] += first_of_[i - 1];
}

const Merge* MergeTable::find(int32_t left, int32_t right) const {
  const Merge* first = merges_.data() + first_of_[static_cast<size_t>(left)];
  const Merge* last = merges_.data() + first_of_[static_cast<size_t>(left) + 1];
  const Merge* found = std::lower_bound(
      first, last, right, [](const Merge& merge, int32_t wanted) { return merge.right < wanted; });
  return found != last && found->right == right ? found : nullptr;
}

// The symbols form a linked list over their first positions. The heap holds every pair that could
// be merged when it was seen; one whose tokens have changed since is recognised and dropped when it
// comes to the top.
void apply_merges(const MergeTable& table, MergeScratch& scratch, std::vector<int32_t>& symbols) {
  const uint32_t n = static_cast<uint32_t>(symbols.size());
  if (n < 2) return;
  std::vector<MergeScratch::Candidate>& heap = scratch.heap;
  std::vector<uint32_t>& previous = scratch.previous;
  std::vector<uint32_t>& next = scratch.next;
  heap.clear();
  previous.resize(n);
  next.resize(n);
  const auto candidate_at = [&](uint32_t pos, const Merge* merge) {
    return MergeScratch::Candidate{static_cast<uint64_t>(merge->rank) << 32 | pos, merge};
  };
  for (uint32_t i = 0; i < n; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == n ? kNone : i + 1;
    if (next[i] == kNone) break;
    if (const Merge* merge = table.find(symbols[i], symbols[i + 1])) {
      heap.push_back(candidate_at(i, merge));
    }
  }
  std::make_heap(heap.begin(), heap.end(), later);

  const auto push_pair = [&](uint32_t pos) {
    const Merge* merge = table.find(symbols[pos], symbols[next[pos]]);
    if (merge == nullptr) return;
    heap.push_back(candidate_at(pos, merge));
    std::push_heap(heap.begin(), heap.end(), later);
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const auto [order, merge] = heap.back();
    heap.pop_back();
    const uint32_t pos = static_cast<uint32_t>(order);
    const uint32_t right = next[pos];
    if (symbols[pos] != merge->left || right == kNone || symbols[right] != merge->right) continue;
    symbols[pos] = merge->merged;
    symbols[right] = kAbsorbed;
    next[pos] = next[right];
    if (next[pos] != kNone) {
      previous[next[pos]] = pos;
      push_pair(pos);
    }
    if (previous[pos] != kNone) push_pair(previous[pos]);
  }
  std::erase(symbols, kAbsorbed);
}

}  // namespace prefold
