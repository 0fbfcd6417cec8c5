// Tokens that are matched in the text before anything else: control tokens ("<|im_end|>") and
// user-defined ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace prefold {

class SpecialTokens {
 public:
  // spelling: not empty. control: matched only where control tokens are asked for. Of equal
  // spellings the last counts. A search takes at most (longest spelling) steps per byte of text.
  void add(std::string_view spelling, int32_t id, bool control);

  struct Match {
    size_t begin;
    size_t end;
    int32_t id;
  };

  // The leftmost match at or after offset, the longest of those; false if there is none.
  bool find(std::string_view text, size_t offset, bool with_control, Match& match) const;

 private:
  // A trie whose children are a linked list: few spellings share a beginning.
  struct Node {
    char byte = 0;
    int32_t first_child = -1;
    int32_t next_sibling = -1;
    int32_t id = -1;
    bool control = false;
  };
  int32_t child(int32_t node, char byte) const;

  std::vector<Node> nodes_ = {Node{}};
  std::array<bool, 256> starts_{};  // bytes with which some spelling begins
};

}  // namespace prefold
