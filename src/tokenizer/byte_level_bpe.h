// Byte-level BPE: words of the pre-tokenizer, each merged from its bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/encode_scratch.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace prefold {

class ByteLevelBpe {
 public:
  // vocabulary outlives this. Throws FormatError for an unknown pre-tokenizer and bad merges.
  explicit ByteLevelBpe(const Vocabulary& vocabulary);

  // Appends the ids of text, which is UTF-8 without special tokens.
  void encode(std::string_view text, EncodeScratch& scratch, std::vector<int32_t>& ids) const;

 private:
  std::span<const int32_t> encode_word(std::string_view word, EncodeScratch& scratch) const;

  PreTokenizer pre_tokenizer_;
  MergeTable merges_;
  std::array<int32_t, 256> byte_ids_;  // -1: a byte without a token, which vanishes
  std::unordered_map<std::string_view, int32_t> whole_words_;  // empty if merges come first
};

}  // namespace prefold
