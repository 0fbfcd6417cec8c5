// The unigram language model (arXiv 1804.10959): of all ways to cut a word into pieces, the one
// with the highest sum of scores.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/byte_trie.h"
#include "tokenizer/encode_scratch.h"
#include "tokenizer/vocabulary.h"

namespace prefold {

class Unigram {
 public:
  // vocabulary has an unknown_id and outlives this.
  explicit Unigram(const Vocabulary& vocabulary);

  // Appends the ids of word, which is not empty. Takes time in proportion to its length times the
  // longest piece's.
  void encode(std::string_view word, EncodeScratch& scratch, std::vector<int32_t>& ids) const;

 private:
  std::span<const int32_t> encode_word(std::string_view word, EncodeScratch& scratch) const;
  void find_best_cuts(std::string_view word, std::vector<UnigramCut>& cuts) const;
  void append_piece(std::string_view piece, std::vector<int32_t>& symbols) const;

  const Vocabulary* vocabulary_;
  ByteTrie pieces_;
  double unknown_score_;
  int32_t unknown_id_;
  bool byte_fallback_;
  std::array<int32_t, 256> byte_tokens_;
};

}  // namespace prefold
