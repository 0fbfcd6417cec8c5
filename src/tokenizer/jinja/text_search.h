// Finding text in text in linear time, whatever the two are.
#pragma once

#include <string_view>

namespace prefold::jinja {

// The first place at or after `from`, or npos. Empty needles are found at once.
size_t find_text(std::string_view haystack, std::string_view needle, size_t from);
// The last place, or npos.
size_t find_last_text(std::string_view haystack, std::string_view needle);

}  // namespace prefold::jinja
