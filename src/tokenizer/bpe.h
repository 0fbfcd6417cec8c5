// Byte pair encoding: a word is merged from its characters, or from its bytes where the vocabulary
// spells them in the byte alphabet.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/encode_scratch.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/vocabulary.h"

namespace prefold {

class Bpe {
 public:
  // words_are_bytes: words come as bytes of text, not spelled in the byte alphabet yet.
  // Throws FormatError for merges that are not of the vocabulary.
  Bpe(const Vocabulary& vocabulary, bool words_are_bytes);

  // Appends the ids of word, which is not empty.
  void encode(std::string_view word, EncodeScratch& scratch, std::vector<int32_t>& ids) const;

 private:
  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::span<const int32_t> encode_word(std::string_view word, EncodeScratch& scratch) const;
  // A character without a token: its byte tokens, the unknown token, or nothing.
  void add_unknown(std::string_view character, bool& pending_unknown,
                   std::vector<int32_t>& symbols) const;
  int32_t id_of_character(std::string_view character) const;

  bool words_are_bytes_;
  bool byte_fallback_;
  bool fuse_unknown_;
  bool splits_before_spaces_;  // no merge makes a token with U+2581 after another character
  int32_t unknown_id_;         // -1: none, unknown characters vanish
  MergeTable merges_;
  std::array<int32_t, 128> ascii_;                    // ids of characters, -1 for none
  std::unordered_map<char32_t, int32_t> characters_;  // those outside of ASCII
  std::array<int32_t, 256> byte_ids_;                 // of the bytes as the alphabet spells them
  std::array<int32_t, 256> byte_tokens_;              // <0x00> to <0xFF>
  std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>>
      whole_words_;  // empty unless they come before merges
};

}  // namespace prefold
