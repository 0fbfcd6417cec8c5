// Methods of str that make other strings or lists of strings. On a string that counts as HTML the
// results count as HTML too, and what is put in is escaped (markupsafe.Markup).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/string_methods.h"
#include "tokenizer/jinja/text_search.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

Value part(Runtime& rt, const Value& self, std::string_view text) {
  return rt.string(std::string(text), self.is_markup());
}

// A string argument that becomes part of the result.
Value inserted(Runtime& rt, const Value& self, const Value& argument) {
  return self.is_markup() ? escape_html(rt, argument) : argument;
}

enum class Sides { kLeft, kRight, kBoth };

Value strip(Runtime& rt, const Value& self, CallArgs args, Sides sides) {
  const std::vector<Value> given = bind(rt, "strip", std::move(args), {""}, 0);
  rt.step_text(self.text().size());
  std::string_view text = self.text();
  if (!is_given(given[0])) {
    if (sides != Sides::kRight) text = strip_left(text);
    if (sides != Sides::kLeft) text = strip_right(text);
    return part(rt, self, text);
  }
  const std::u32string chars = to_code_points(to_string_argument(rt, given[0], "strip arg"));
  const auto is_stripped = [&](char32_t c) {
    rt.step(1 + static_cast<int64_t>(chars.size() / 16));
    return chars.find(c) != std::u32string::npos;
  };
  while (sides != Sides::kRight && !text.empty()) {
    size_t next = 0;
    if (!is_stripped(decode_at(text, &next))) break;
    text.remove_prefix(next);
  }
  while (sides != Sides::kLeft && !text.empty()) {
    size_t end = text.size();
    if (!is_stripped(decode_before(text, &end))) break;
    text = text.substr(0, end);
  }
  return part(rt, self, text);
}

Value strip_both(Runtime& rt, const Value& self, CallArgs args) {
  return strip(rt, self, std::move(args), Sides::kBoth);
}
Value lstrip(Runtime& rt, const Value& self, CallArgs args) {
  return strip(rt, self, std::move(args), Sides::kLeft);
}
Value rstrip(Runtime& rt, const Value& self, CallArgs args) {
  return strip(rt, self, std::move(args), Sides::kRight);
}

Value list_of(Runtime& rt, const Value& self, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (std::string_view text : parts) items.push_back(part(rt, self, text));
  return rt.list(std::move(items));
}

// At runs of spaces, from the left; at most max_splits times if that is not negative.
std::vector<std::string_view> split_spaces(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> parts;
  for (text = strip_left(text); !text.empty(); text = strip_left(text)) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) == max_splits) {
      parts.push_back(text);  // the rest keeps its trailing spaces
      break;
    }
    size_t end = 0;
    for (size_t pos = 0; pos < text.size(); end = pos) {
      if (is_space(decode_at(text, &pos))) break;
    }
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return parts;
}

std::vector<std::string_view> rsplit_spaces(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> parts;
  for (text = strip_right(text); !text.empty(); text = strip_right(text)) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) == max_splits) {
      parts.push_back(text);
      break;
    }
    size_t start = text.size();
    while (start > 0) {
      size_t pos = start;
      if (is_space(decode_before(text, &pos))) break;
      start = pos;
    }
    parts.push_back(text.substr(start));
    text = text.substr(0, start);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(Runtime& rt, std::string_view text,
                                       std::string_view separator, int64_t max_splits,
                                       bool from_right) {
  std::vector<std::string_view> parts;
  while (max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits) {
    rt.step();
    if (from_right) {
      rt.step_text(text.size());
      const size_t found = find_last_text(text, separator);
      if (found == std::string_view::npos) break;
      parts.push_back(text.substr(found + separator.size()));
      text = text.substr(0, found);
    } else {
      const size_t found = find_text(text, separator, 0);
      if (found == std::string_view::npos) break;
      parts.push_back(text.substr(0, found));
      text.remove_prefix(found + separator.size());
    }
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split_any(Runtime& rt, const Value& self, CallArgs args, bool from_right) {
  const std::vector<Value> given = bind(rt, "split", std::move(args), {"sep", "maxsplit"}, 0);
  rt.step_text(self.text().size());
  const int64_t max_splits = given[1].is_missing() ? -1 : to_index(rt, given[1]);
  if (!is_given(given[0])) {
    return list_of(rt, self,
                   from_right ? rsplit_spaces(self.text(), max_splits)
                              : split_spaces(self.text(), max_splits));
  }
  const std::string& separator = to_string_argument(rt, given[0], "separator");
  if (separator.empty()) rt.fail("empty separator");
  return list_of(rt, self, split_at(rt, self.text(), separator, max_splits, from_right));
}

Value split(Runtime& rt, const Value& self, CallArgs args) {
  return split_any(rt, self, std::move(args), false);
}
Value rsplit(Runtime& rt, const Value& self, CallArgs args) {
  return split_any(rt, self, std::move(args), true);
}

Value splitlines(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "splitlines", std::move(args), {"keepends"}, 0);
  rt.step_text(self.text().size());
  const bool keeps_ends = !given[0].is_missing() && to_index(rt, given[0]) != 0;
  return list_of(rt, self, split_lines(self.text(), keeps_ends));
}

Value partition_any(Runtime& rt, const Value& self, CallArgs args, bool from_right) {
  const std::vector<Value> given = bind(rt, "partition", std::move(args), {""}, 1);
  const std::string& separator = to_string_argument(rt, given[0], "separator");
  if (separator.empty()) rt.fail("empty separator");
  rt.step_text(self.text().size());
  const std::string_view text = self.text();
  const size_t found = from_right ? find_last_text(text, separator) : find_text(text, separator, 0);
  std::string_view left = from_right ? "" : text;
  std::string_view middle;
  std::string_view right = from_right ? text : "";
  if (found != std::string_view::npos) {
    left = text.substr(0, found);
    middle = separator;
    right = text.substr(found + separator.size());
  }
  return rt.tuple({part(rt, self, left), part(rt, self, middle), part(rt, self, right)});
}

Value partition(Runtime& rt, const Value& self, CallArgs args) {
  return partition_any(rt, self, std::move(args), false);
}
Value rpartition(Runtime& rt, const Value& self, CallArgs args) {
  return partition_any(rt, self, std::move(args), true);
}

template <std::string (*Convert)(std::string_view)>
Value convert_case(Runtime& rt, const Value& self, CallArgs args) {
  bind(rt, "case conversion", std::move(args), {}, 0);
  rt.step_text(8 * self.text().size());
  return rt.string(Convert(self.text()), self.is_markup());
}

Value replace(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "replace", std::move(args), {"", "", ""}, 2);
  const Value new_text = inserted(rt, self, given[1]);
  const int64_t count = given[2].is_missing() ? -1 : to_index(rt, given[2]);
  return rt.string(replace_text(rt, self.text(), to_string_argument(rt, given[0], "argument 1"),
                                to_string_argument(rt, new_text, "argument 2"), count),
                   self.is_markup());
}

Value join(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "join", std::move(args), {""}, 1);
  std::string out;
  bool is_first = true;
  const std::unique_ptr<Iterator> items = iterate(rt, given[0]);
  for (Value item; items->next(rt, &item);) {
    if (!is_first) out += self.text();
    is_first = false;
    const Value text = inserted(rt, self, item);
    to_string_argument(rt, text, "sequence item");
    append_text(rt, text, &out);
  }
  return rt.string(std::move(out), self.is_markup());
}

Value remove_prefix(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "removeprefix", std::move(args), {""}, 1);
  const std::string& prefix = to_string_argument(rt, given[0], "removeprefix() argument");
  std::string_view text = self.text();
  if (text.substr(0, prefix.size()) == prefix) text.remove_prefix(prefix.size());
  return part(rt, self, text);
}

Value remove_suffix(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "removesuffix", std::move(args), {""}, 1);
  const std::string& suffix = to_string_argument(rt, given[0], "removesuffix() argument");
  std::string_view text = self.text();
  if (text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix) {
    text.remove_suffix(suffix.size());
  }
  return part(rt, self, text);
}

// `split` says how many of the missing characters go to the left.
template <typename Split>
Value pad(Runtime& rt, const Value& self, CallArgs args, std::string_view name,
          const Split& split_fn) {
  const std::vector<Value> given = bind(rt, name, std::move(args), {"", ""}, 1);
  const int64_t width = to_index(rt, given[0]);
  std::string fill = " ";
  if (!given[1].is_missing()) {
    const Value argument = inserted(rt, self, given[1]);
    fill = to_string_argument(rt, argument, "the fill character");
    if (argument.n_chars() != 1) rt.fail("the fill character must be exactly one character long");
  }
  const int64_t n_missing = width - self.n_chars();
  if (n_missing <= 0) return self;
  if (n_missing > kMaxStringBytes / 4) rt.fail("a padded text is too long");
  rt.step(n_missing / 8);
  const int64_t n_left = split_fn(n_missing, width);
  std::string out;
  for (int64_t i = 0; i < n_left; ++i) out += fill;
  out += self.text();
  for (int64_t i = n_left; i < n_missing; ++i) out += fill;
  return rt.string(std::move(out), self.is_markup());
}

Value ljust(Runtime& rt, const Value& self, CallArgs args) {
  return pad(rt, self, std::move(args), "ljust", [](int64_t, int64_t) { return int64_t{0}; });
}
Value rjust(Runtime& rt, const Value& self, CallArgs args) {
  return pad(rt, self, std::move(args), "rjust",
             [](int64_t n_missing, int64_t) { return n_missing; });
}
// Of an odd number of spaces the left side gets the larger half only if the width is odd.
Value center(Runtime& rt, const Value& self, CallArgs args) {
  return pad(rt, self, std::move(args), "center", [](int64_t n_missing, int64_t width) {
    return n_missing / 2 + (n_missing & width & 1);
  });
}

Value zfill(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "zfill", std::move(args), {""}, 1);
  const int64_t n_missing = to_index(rt, given[0]) - self.n_chars();
  if (n_missing <= 0) return self;
  if (n_missing > kMaxStringBytes) rt.fail("a padded text is too long");
  const std::string& text = self.text();
  const size_t n_sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  return rt.string(text.substr(0, n_sign) + std::string(static_cast<size_t>(n_missing), '0') +
                       text.substr(n_sign),
                   self.is_markup());
}

Value expandtabs(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "expandtabs", std::move(args), {"tabsize"}, 0);
  const int64_t tab = given[0].is_missing() ? 8 : to_index(rt, given[0]);
  if (tab > kMaxFormatWidth) rt.fail("tab size is too large");
  std::string out;
  int64_t column = 0;
  for (size_t pos = 0; pos < self.text().size();) {
    const char32_t c = decode_at(self.text(), &pos);
    if (c == '\t') {
      const int64_t n = tab > 0 ? tab - column % tab : 0;
      rt.step(1 + n / 32);
      out.append(static_cast<size_t>(n), ' ');
      check_text_size(rt, out.size());
      column += n;
    } else {
      append_utf8(&out, c);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return rt.string(std::move(out), self.is_markup());
}

constexpr std::array<Method, 24> kMethods = {{
    {"capitalize", convert_case<capitalize>},
    {"center", center},
    {"expandtabs", expandtabs},
    {"join", join},
    {"ljust", ljust},
    {"lower", convert_case<to_lower>},
    {"lstrip", lstrip},
    {"partition", partition},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
    {"replace", replace},
    {"rjust", rjust},
    {"rpartition", rpartition},
    {"rsplit", rsplit},
    {"rstrip", rstrip},
    {"split", split},
    {"splitlines", splitlines},
    {"strip", strip_both},
    {"swapcase", convert_case<swap_case>},
    {"title", convert_case<to_title>},
    {"upper", convert_case<to_upper>},
    {"zfill", zfill},
    {"format", format_braces},
    {"format_map", format_map_braces},
}};

}  // namespace

std::string replace_text(Runtime& rt, const std::string& text, const std::string& old_text,
                         const std::string& new_text, int64_t count) {
  rt.step_text(text.size());
  std::string out;
  size_t pos = 0;
  if (old_text.empty()) {  // between all characters
    while (count != 0) {
      rt.step();
      out += new_text;
      check_text_size(rt, out.size());
      --count;
      if (pos == text.size()) return out;
      const size_t start = pos;
      decode_at(text, &pos);
      out.append(text, start, pos - start);
    }
  }
  while (!old_text.empty() && count != 0) {
    const size_t found = find_text(text, old_text, pos);
    if (found == std::string_view::npos) break;
    rt.step_text(new_text.size());
    out.append(text, pos, found - pos);
    out += new_text;
    check_text_size(rt, out.size());
    pos = found + old_text.size();
    --count;
  }
  out.append(text, pos, std::string::npos);
  return out;
}

const Method* find_string_method(std::string_view name) {
  const auto found = std::find_if(kMethods.begin(), kMethods.end(),
                                  [name](const Method& method) { return method.name == name; });
  return found == kMethods.end() ? find_string_query(name) : &*found;
}

}  // namespace prefold::jinja
