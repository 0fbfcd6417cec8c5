// Characters as Hugging Face tokenizers classify them (its tables follow several versions of
// Unicode; tokenizer/char_tables.inc holds its own answers).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace prefold {

struct CharRange {
  char32_t first;
  char32_t last;
};

bool is_numeric(char32_t c);         // category N
bool is_punctuation(char32_t c);     // ASCII symbols and category P
bool is_white_space(char32_t c);     // the property White_Space
bool is_word_character(char32_t c);  // \w of Rust's regular expressions
bool is_mark(char32_t c);            // category M as of Unicode 10, what StripAccents drops
// Not decomposed, composed or reordered, although a newer Unicode says so.
bool is_inert_in_normalization(char32_t c);
// One character becomes one, but for U+0130, which becomes "i" and U+0307.
void append_lowercase(char32_t c, std::string& out);

// A property of Oniguruma's \p{...} ("L", "Han"; "w" is its \w): the union of what PCRE2 has under
// `pcre2` (an escape, or empty) and `ranges`.
struct RegexClass {
  std::string_view name;
  std::string_view pcre2;
  std::span<const CharRange> ranges;
};
// Null if the name is unknown. Case, spaces, hyphens and underscores do not matter.
const RegexClass* find_regex_class(std::string_view name);

// The character at text[pos], of valid UTF-8; moves pos past it.
char32_t next_char(std::string_view text, size_t& pos);
void append_char(char32_t c, std::string& out);
// The start of the character that ends before pos, which is not 0.
size_t previous_char(std::string_view text, size_t pos);

}  // namespace prefold
