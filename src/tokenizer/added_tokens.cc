#include "tokenizer/added_tokens.h"

#include "tokenizer/char_class.h"

namespace prefold {

int32_t SpellingTrie::child(int32_t node, char byte) const {
  int32_t found = nodes_[static_cast<size_t>(node)].first_child;
  while (found >= 0 && nodes_[static_cast<size_t>(found)].byte != byte) {
    found = nodes_[static_cast<size_t>(found)].next_sibling;
  }
  return found;
}

void SpellingTrie::add(std::string_view spelling, int32_t value) {
  starts_[static_cast<uint8_t>(spelling[0])] = true;
  int32_t node = 0;
  for (const char byte : spelling) {
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      Node added;
      added.byte = byte;
      added.next_sibling = nodes_[static_cast<size_t>(node)].first_child;
      nodes_.push_back(added);
      nodes_[static_cast<size_t>(node)].first_child = next;
    }
    node = next;
  }
  Node& last = nodes_[static_cast<size_t>(node)];
  if (last.value < 0) last.value = value;
}

bool SpellingTrie::find(std::string_view text, size_t offset, Match& match) const {
  for (size_t begin = offset; begin < text.size(); ++begin) {
    if (!starts_[static_cast<uint8_t>(text[begin])]) continue;
    match.value = -1;
    int32_t node = 0;
    for (size_t pos = begin; pos < text.size(); ++pos) {
      node = child(node, text[pos]);
      if (node < 0) break;
      const Node& reached = nodes_[static_cast<size_t>(node)];
      if (reached.value >= 0) match = {begin, pos + 1, reached.value};
    }
    if (match.value >= 0) return true;
  }
  return false;
}

void AddedTokens::add(const AddedToken& token, std::string_view spelling) {
  trie_.add(spelling, static_cast<int32_t>(tokens_.size()));
  tokens_.push_back(token);
}

bool AddedTokens::inside_word(std::string_view text, size_t begin, size_t end) {
  if (begin > 0) {
    size_t pos = previous_char(text, begin);
    if (is_word_character(next_char(text, pos))) return true;
  }
  return end < text.size() && is_word_character(next_char(text, end));
}

size_t AddedTokens::spaces_before(std::string_view text, size_t pos, size_t limit) {
  while (pos > limit) {
    const size_t before = previous_char(text, pos);
    size_t next = before;
    if (!is_white_space(next_char(text, next))) break;
    pos = before;
  }
  return pos;
}

size_t AddedTokens::spaces_after(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    size_t next = pos;
    if (!is_white_space(next_char(text, next))) break;
    pos = next;
  }
  return pos;
}

}  // namespace prefold
