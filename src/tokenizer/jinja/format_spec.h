// One formatted value: the part of Python's format() and of its % operator that is the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct FormatSpec {
  char32_t fill = U' ';
  char align = 0;  // '<', '>', '=', '^', or 0 for the type's own
  char sign = '-';
  bool alternate = false;
  bool zero = false;
  int64_t width = 0;
  char grouping = 0;  // ',' or '_'
  std::optional<int64_t> precision;
  char type = 0;
};

// Throws (Runtime::fail) for a spec that is none.
FormatSpec parse_format_spec(Runtime& rt, std::string_view text);

// format(value, spec).
std::string format_value(Runtime& rt, const Value& value, const FormatSpec& spec, bool is_empty);

// The digits of a number without padding; sign and grouping as the spec says.
std::string format_int(Runtime& rt, int64_t number, const FormatSpec& spec);
std::string format_real(Runtime& rt, double number, const FormatSpec& spec);
// Fills up to the width; '=' puts the fill after the sign.
std::string pad_to_width(Runtime& rt, std::string text, const FormatSpec& spec, char own_align);

}  // namespace prefold::jinja
