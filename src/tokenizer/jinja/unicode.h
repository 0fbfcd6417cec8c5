// Python's view of text: code points, character classes and case mappings (Unicode 14.0, as
// Python 3.11). Every std::string in this folder is valid UTF-8; is_utf8 guards the entrances.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prefold::jinja {

bool is_utf8(std::string_view text);

// The code point at text[*pos], of valid UTF-8; moves *pos past it.
char32_t decode_at(std::string_view text, size_t* pos);
// The code point that ends before text[*pos]; moves *pos to its start.
char32_t decode_before(std::string_view text, size_t* pos);
void append_utf8(std::string* out, char32_t c);
std::u32string to_code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);
int64_t count_code_points(std::string_view text);

// str.isspace and friends of one character.
bool is_space(char32_t c);
bool is_line_break(char32_t c);  // what str.splitlines splits at ("\r\n" counts once)
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_alnum(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
bool is_cased(char32_t c);
bool is_printable(char32_t c);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);    // a final capital sigma becomes U+03C2
std::string to_title(std::string_view text);    // str.title
std::string capitalize(std::string_view text);  // str.capitalize
std::string swap_case(std::string_view text);   // str.swapcase

std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

}  // namespace prefold::jinja
