// One line of untrusted JSON, parsed with limits on depth and size.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace prefold {

using Json = nlohmann::ordered_json;

inline constexpr int32_t kMaxJsonDepth = 128;
inline constexpr int64_t kMaxJsonValues = 4'000'000;

// Parses an object. Throws RequestError("invalid_utf8") naming the byte, or ("invalid_json") naming
// byte and reason: syntax, a number beyond double, a lone surrogate, a duplicate key, arrays nested
// deeper than kMaxJsonDepth, more than kMaxJsonValues values, not an object. Time and memory are
// linear in the text.
Json parse_json_line(std::string_view text);

// A value as a message shows it: short, on one line, valid UTF-8.
std::string show_value(const Json& value);
std::string show_text(std::string_view text);  // quoted

}  // namespace prefold
