// An Oniguruma pattern while it is translated: where it has been read up to, and what of it means
// the same wherever it stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace prefold {

inline constexpr int kMaxOnigurumaDepth = 100;  // of groups and of brackets in one another

struct OnigurumaOptions {
  bool ignore_case = false;
  bool dot_all = false;
};

inline bool is_ascii_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

struct OnigurumaReader {
  std::string_view pattern;
  size_t pos = 0;

  // Throws FormatError: what stands at that byte is not supported.
  [[noreturn]] void refuse(std::string_view what, size_t place) const;

  bool at_end() const { return pos == pattern.size(); }
  bool at(std::string_view text) const { return pattern.substr(pos, text.size()) == text; }
  bool accept(std::string_view text) {
    if (!at(text)) return false;
    pos += text.size();
    return true;
  }
};

// One character written with a backslash, which is consumed. begin: where that stood.
char32_t character_escape(OnigurumaReader& in, size_t begin);

// {n}, {n,}, {n,m}, {,m}, as PCRE2 writes it; false of anything else, which is a plain "{". exact:
// {n}.
bool interval(OnigurumaReader& in, std::string& repeat, bool& exact);

}  // namespace prefold
