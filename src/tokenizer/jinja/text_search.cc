#include "tokenizer/jinja/text_search.h"

#include <string.h>

#include <string>

namespace prefold::jinja {

size_t find_text(std::string_view haystack, std::string_view needle, size_t from) {
  if (from > haystack.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  if (needle.size() == 1) return haystack.find(needle[0], from);
  const void* found =
      memmem(haystack.data() + from, haystack.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - haystack.data());
}

size_t find_last_text(std::string_view haystack, std::string_view needle) {
  const std::string reversed(haystack.rbegin(), haystack.rend());
  const std::string reversed_needle(needle.rbegin(), needle.rend());
  const size_t found = find_text(reversed, reversed_needle, 0);
  if (found == std::string_view::npos) return found;
  return haystack.size() - found - needle.size();
}

}  // namespace prefold::jinja
