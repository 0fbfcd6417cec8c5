// Finds added tokens ("<|im_end|>") in text, which is done before anything else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text_steps.h"

namespace prefold {

// A trie of spellings, each with a number.
class SpellingTrie {
 public:
  // spelling: not empty. Of equal spellings the first counts.
  void add(std::string_view spelling, int32_t value);
  bool empty() const { return nodes_.size() == 1; }

  struct Match {
    size_t begin;
    size_t end;
    int32_t value;
  };

  // The leftmost match at or after offset, the longest of those; false if there is none. Takes at
  // most (longest spelling) steps per byte of text.
  bool find(std::string_view text, size_t offset, Match& match) const;

 private:
  // Children are a linked list: few spellings share a beginning.
  struct Node {
    char byte = 0;
    int32_t first_child = -1;
    int32_t next_sibling = -1;
    int32_t value = -1;
  };
  int32_t child(int32_t node, char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> starts_{};  // bytes with which some spelling begins
};

// Added tokens that are looked for in the same text: as it was, or normalised.
class AddedTokens {
 public:
  // spelling: what stands for the token in that text, not empty.
  void add(const AddedToken& token, std::string_view spelling);
  bool empty() const { return trie_.empty(); }

  // Cuts text, calling on_token(id) for tokens and on_text(begin, end) for what lies between, in
  // order. Special tokens stay text unless with_special. Linear time.
  template <typename TokenFn, typename TextFn>
  void split(std::string_view text, bool with_special, TokenFn&& on_token, TextFn&& on_text) const {
    size_t done = 0;
    size_t spaces_end = 0;  // of the last white space looked at, which needs no second look
    SpellingTrie::Match match;
    for (size_t pos = 0; trie_.find(text, pos, match);) {
      pos = match.end;
      const AddedToken& token = tokens_[static_cast<size_t>(match.value)];
      if ((token.special && !with_special) ||
          (token.single_word && inside_word(text, match.begin, match.end))) {
        continue;
      }
      size_t begin = match.begin;
      if (token.lstrip && begin > done) begin = spaces_before(text, begin, done);
      size_t end = match.end;
      if (token.rstrip) {
        if (end >= spaces_end) spaces_end = spaces_after(text, end);
        end = spaces_end;
      }
      if (done < begin) on_text(done, begin);
      on_token(token.id);
      done = end;
    }
    if (done < text.size()) on_text(done, text.size());
  }

 private:
  static bool inside_word(std::string_view text, size_t begin, size_t end);
  static size_t spaces_before(std::string_view text, size_t pos, size_t limit);
  static size_t spaces_after(std::string_view text, size_t pos);

  SpellingTrie trie_;
  std::vector<AddedToken> tokens_;
};

}  // namespace prefold
