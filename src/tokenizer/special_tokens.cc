#include "tokenizer/special_tokens.h"

namespace prefold {

int32_t SpecialTokens::child(int32_t node, char byte) const {
  int32_t found = nodes_[static_cast<size_t>(node)].first_child;
  while (found >= 0 && nodes_[static_cast<size_t>(found)].byte != byte) {
    found = nodes_[static_cast<size_t>(found)].next_sibling;
  }
  return found;
}

void SpecialTokens::add(std::string_view spelling, int32_t id, bool control) {
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
  nodes_[static_cast<size_t>(node)].id = id;
  nodes_[static_cast<size_t>(node)].control = control;
}

bool SpecialTokens::find(std::string_view text, size_t offset, bool with_control,
                         Match& match) const {
  for (size_t begin = offset; begin < text.size(); ++begin) {
    if (!starts_[static_cast<uint8_t>(text[begin])]) continue;
    match.id = -1;
    int32_t node = 0;
    for (size_t pos = begin; pos < text.size(); ++pos) {
      node = child(node, text[pos]);
      if (node < 0) break;
      const Node& reached = nodes_[static_cast<size_t>(node)];
      if (reached.id >= 0 && (with_control || !reached.control)) {
        match = {begin, pos + 1, reached.id};
      }
    }
    if (match.id >= 0) return true;
  }
  return false;
}

}  // namespace prefold
