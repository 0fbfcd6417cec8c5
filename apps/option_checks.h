// What an option's value must be, with messages that say so. For the files that declare options.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace prefold {

// A number from `low` to `high`, written as JSON writes it: 12, 0.7.
template <typename T>
CLI::Validator number_in(T low, T high) {
  const auto check = [low, high](const std::string& typed) -> std::string {
    T value{};
    const char* end = typed.data() + typed.size();
    const auto [stop, error] = std::from_chars(typed.data(), end, value);
    const bool is_octal = typed.size() > 1 && typed[0] == '0' && typed[1] >= '0' && typed[1] <= '9';
    const bool is_read = error == std::errc() && stop == end && !is_octal;  // CLI11 reads octal
    if (is_read && value >= low && value <= high) return {};
    const char* kind = std::integral<T> ? "a whole number" : "a number";
    return high == std::numeric_limits<T>::max()
               ? fmt::format("\"{}\" is not {} of at least {}", typed, kind, low)
               : fmt::format("\"{}\" is not {} from {} to {}", typed, kind, low, high);
  };
  return CLI::Validator(check, "");
}

// Bytes: a number, then k, M, G or T (powers of 1024, in any case), B or iB behind it if liked.
// Replaces what was typed by the number.
inline CLI::Validator byte_size() {
  const auto convert = [](std::string& typed) -> std::string {
    double value = 0;
    const char* end = typed.data() + typed.size();
    const auto [stop, error] = std::from_chars(typed.data(), end, value);
    std::string unit(stop, end);
    unit.erase(0, unit.find_first_not_of(' '));
    for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const size_t power = unit.empty() ? 0 : std::string_view("bkmgt").find(unit.front());
    const std::string_view rest =
        unit.empty() ? std::string_view() : std::string_view(unit).substr(1);
    const bool is_unit = power != std::string_view::npos &&
                         (rest.empty() || (power > 0 && (rest == "b" || rest == "ib")));
    const double bytes = is_unit ? value * std::pow(1024.0, static_cast<double>(power)) : -1;
    if (error != std::errc() || !(bytes >= 1 && bytes < 9e18)) {
      return fmt::format("\"{}\" is not a number of bytes, like 512MB or 6GB", typed);
    }
    typed = std::to_string(static_cast<int64_t>(bytes));
    return {};
  };
  return CLI::Validator(convert, "");
}

}  // namespace prefold
