// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace prefold {

// What stands at the start of some text. An invalid character spans the longest prefix of a valid
// one ("maximal subpart"), at least one byte: each becomes one U+FFFD, as in Python and the WHATWG
// standard.
struct Utf8Char {
  size_t n_bytes = 0;
  bool valid = false;
  bool cut_short = false;  // invalid only because the text ends inside it
};
Utf8Char first_utf8_char(std::string_view text);  // text must not be empty

bool is_valid_utf8(std::string_view text);

// The offset of the first byte that is not part of a valid character, or text.size().
size_t valid_utf8_prefix(std::string_view text);

// The text's first n_bytes or a little less: never cut inside a character.
std::string_view utf8_head(std::string_view text, size_t n_bytes);

// Characters of a text that arrives in pieces which may cut through characters.
class Utf8Counter {
 public:
  void push(std::string_view bytes);
  int64_t n_complete() const { return n_complete_; }  // a begun character does not count

 private:
  std::string begun_;
  int64_t n_complete_ = 0;
};

}  // namespace prefold
