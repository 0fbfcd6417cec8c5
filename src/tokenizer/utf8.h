// UTF-8 as the Unicode standard defines it (table 3-7): no surrogates, no overlong forms, nothing
// above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace prefold {

inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";  // U+FFFD

struct Utf8Unit {
  size_t n_bytes = 0;      // at least 1: of the character, or of the broken part to replace at once
  bool valid = false;      // a whole character
  bool truncated = false;  // not valid, but more bytes after the end of the text could complete it
};

// What stands at the start of text (not empty). A broken character is the longest beginning of a
// valid one, or a single byte: each becomes one U+FFFD, as in Python, Rust and the WHATWG standard.
Utf8Unit next_utf8(std::string_view text);

// The offset of the first byte that is not UTF-8, or npos.
size_t find_invalid_utf8(std::string_view text);

// Appends text with each broken part as U+FFFD.
void append_lossy_utf8(std::string_view text, std::string& out);

// How many bytes of text can be decoded for good: all but a truncated character at the end.
size_t complete_utf8_bytes(std::string_view text);

}  // namespace prefold
