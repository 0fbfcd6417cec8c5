// Pair merging, the heart of both tokenizer families: as long as some neighbouring pair of tokens
// has a merge, the pair of the lowest rank (the leftmost of equals) becomes one token.
// Byte-level BPE: rank = place in the file's merges. SentencePiece: rank = order of the scores.
#pragma once

#include <cstdint>
#include <vector>

namespace prefold {

struct Merge {
  int32_t left;
  int32_t right;
  int32_t rank;    // lower is merged earlier
  int32_t merged;  // the token that the pair becomes
};

class MergeTable {
 public:
  MergeTable() = default;
  // Token ids are in [0, n_tokens). Of merges of the same pair the last counts.
  MergeTable(std::vector<Merge> merges, int32_t n_tokens);

  // Null where the pair has no merge. left and right are in [0, n_tokens).
  const Merge* find(int32_t left, int32_t right) const;

 private:
  std::vector<Merge> merges_;       // sorted by left, then right
  std::vector<uint32_t> first_of_;  // n_tokens + 1: where each left token's merges begin
};

// Work memory of apply_merges, kept from word to word.
struct MergeScratch {
  struct Candidate {
    uint64_t order;  // rank in the high half, position in the low
    const Merge* merge;
  };
  std::vector<Candidate> heap;
  std::vector<uint32_t> previous;
  std::vector<uint32_t> next;
};

// Merges symbols (fewer than 2^32 - 1 ids) in place until nothing more merges: O(n log n).
void apply_merges(const MergeTable& table, MergeScratch& scratch, std::vector<int32_t>& symbols);

}  // namespace prefold
