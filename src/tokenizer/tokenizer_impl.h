// The parts of a Tokenizer.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unigram.h"
#include "tokenizer/vocabulary.h"

namespace prefold {

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec spec);

  // Appends the ids of text in which no token of `added` is to be found.
  void encode_plain(std::string_view text, bool at_start, bool parse_special,
                    EncodeScratch& scratch, std::vector<int32_t>& ids) const;

  const Vocabulary vocabulary;
  const PreTokenizer pre_tokenizer;
  const std::variant<Bpe, Unigram> model;
  AddedTokens added;             // found in the text as it comes
  AddedTokens added_normalized;  // found in the normalised text
  const uint64_t instance_id;    // names it in the caches of all threads
};

}  // namespace prefold
