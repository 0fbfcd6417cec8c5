// SentencePiece's precompiled_charsmap: rules that rewrite characters, as a double array trie
// (github.com/s-yata/darts-clone) over their UTF-8 and a block of zero-terminated replacements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

class Charsmap {
 public:
  // data: u32 size of the trie in bytes, the trie (u32 little-endian), the replacements.
  // Throws FormatError if it is no such thing.
  explicit Charsmap(std::string_view data);

  // Appends text rewritten as Hugging Face tokenizers do it: grapheme clusters of up to five bytes
  // by the shortest rule that they begin with, else character by character.
  void apply(std::string_view text, std::string& out) const;

 private:
  // False if no rule matches the beginning of chunk.
  bool rewrite(std::string_view chunk, std::string_view& replacement) const;

  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace prefold
