// Backslash escapes in the strings of a template.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace prefold::jinja {

// What the text between the quotes stands for. Throws FormatError naming the line.
std::string unescape(std::string_view raw, int32_t line);

}  // namespace prefold::jinja
