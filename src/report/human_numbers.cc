#include "report/human_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace prefold {
namespace {

constexpr double kLongestClockS = 100.0 * 365 * 24 * 3600;

// Three significant digits, as long as the number is below 1000.
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

std::string scaled(double value, double step, std::initializer_list<const char*> units) {
  const char* const* unit = units.begin();
  while (value >= step * 0.9995 && unit + 1 != units.end()) {
    value /= step;
    ++unit;
  }
  return fmt::format("{} {}", three_digits(value), *unit);
}

}  // namespace

std::string human_count(int64_t count) {
  if (count < 1000) return fmt::format("{}", count);
  return scaled(static_cast<double>(count) / 1000, 1000, {"k", "M", "G", "T"});
}

std::string human_bytes(int64_t n_bytes) {
  if (n_bytes < 1024) return fmt::format("{} B", n_bytes);
  return scaled(static_cast<double>(n_bytes) / 1024, 1024, {"KiB", "MiB", "GiB", "TiB"});
}

std::string human_seconds(double seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 0.9995) return fmt::format("{} ms", three_digits(seconds * 1000));
  if (seconds < 119.5) return fmt::format("{} s", three_digits(seconds));
  return human_clock(seconds);
}

std::string human_clock(double seconds) {
  const auto total = static_cast<int64_t>(std::clamp(seconds, 0.0, kLongestClockS) + 0.5);
  const int64_t hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, rest);
  return fmt::format("{}:{:02}", minutes, rest);
}

std::string human_rate(double per_second) {
  if (per_second >= 999.5) return scaled(per_second / 1000, 1000, {"k", "M", "G"});
  return three_digits(std::max(per_second, 0.0));
}

std::string human_percent(int64_t part, int64_t whole) {
  if (whole <= 0) return "0.0 %";
  double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  if (part < whole) percent = std::min(percent, 99.9);
  if (part > 0) percent = std::max(percent, 0.1);
  return fmt::format("{:.1f} %", percent);
}

}  // namespace prefold
