// Durations as people type them.
#pragma once

#include <optional>
#include <string_view>

namespace prefold {

// Seconds of "90", "90s", "30m", "1.5h", "2d" or several such parts, "1h30m"; none if it is nothing
// like that, or more than 10 years.
std::optional<double> parse_duration(std::string_view text);

}  // namespace prefold
