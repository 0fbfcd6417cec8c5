// SentencePiece's BPE (arXiv 1808.06226) as llama models use it: no words, spaces are part of the
// pieces, pairs merge in order of the merged piece's score, and characters without a piece become
// byte tokens or, lacking those, the unknown token.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/encode_scratch.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/vocabulary.h"

namespace prefold {

class SentencePieceBpe {
 public:
  // vocabulary outlives this.
  explicit SentencePieceBpe(const Vocabulary& vocabulary);

  // Appends the ids of text, which is UTF-8 without special tokens; a space comes before it where
  // the model wants one, as it does after each special token.
  void encode(std::string_view text, EncodeScratch& scratch, std::vector<int32_t>& ids) const;

 private:
  std::span<const int32_t> encode_word(std::string_view word, EncodeScratch& scratch) const;

  bool add_space_prefix_;
  bool splits_before_spaces_;  // no piece has a space after another character
  MergeTable merges_;
  std::unordered_map<std::string_view, int32_t> characters_;
  std::array<int32_t, 256> byte_ids_;  // -1: no such byte token
  int32_t unknown_id_;                 // -1: none, unknown characters vanish
};

}  // namespace prefold
