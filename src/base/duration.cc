#include "base/duration.h"

#include <charconv>

namespace prefold {
namespace {

constexpr double kLongestS = 10.0 * 365 * 24 * 3600;

std::optional<double> seconds_of_unit(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 24 * 3600;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total_s = 0;
  bool first = true;
  while (!text.empty()) {
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc() || !(value >= 0 && value <= kLongestS)) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const bool bare = first && text.empty();
    const std::optional<double> unit_s = bare ? 1.0 : seconds_of_unit(text.empty() ? ' ' : text[0]);
    if (!unit_s) return std::nullopt;
    if (!bare) text.remove_prefix(1);
    total_s += value * *unit_s;
    first = false;
  }
  return total_s <= kLongestS ? std::optional(total_s) : std::nullopt;
}

}  // namespace prefold
