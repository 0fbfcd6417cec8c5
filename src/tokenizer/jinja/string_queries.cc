// Methods of str that ask: where is it, does it start so, is it made of digits.
#include <algorithm>
#include <array>

#include "tokenizer/jinja/string_methods.h"
#include "tokenizer/jinja/text_search.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

constexpr int64_t kNotFound = -1;

// The place of args[0] within args[1]:args[2], in code points, or kNotFound.
int64_t find_place(Runtime& rt, const Value& self, const std::vector<Value>& given,
                   bool from_right) {
  const std::string& needle = to_string_argument(rt, given[0], "argument 1");
  const Bounds bounds = clamp_bounds(rt, self.n_chars(), given[1], given[2]);
  rt.step_text(self.text().size() + needle.size());
  if (bounds.start > bounds.stop) return kNotFound;
  const std::string_view text = char_range(self, bounds.start, bounds.stop);
  const size_t found = from_right ? find_last_text(text, needle) : find_text(text, needle, 0);
  if (found == std::string_view::npos) return kNotFound;
  return bounds.start + count_code_points(text.substr(0, found));
}

template <bool kFromRight, bool kMustExist>
Value find(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "find", std::move(args), {"", "", ""}, 1);
  const int64_t place = find_place(rt, self, given, kFromRight);
  if (kMustExist && place == kNotFound) rt.fail("substring not found");
  return Value::integer(place);
}

Value count(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "count", std::move(args), {"", "", ""}, 1);
  const std::string& needle = to_string_argument(rt, given[0], "argument 1");
  const Bounds bounds = clamp_bounds(rt, self.n_chars(), given[1], given[2]);
  rt.step_text(self.text().size());
  if (bounds.start > bounds.stop) return Value::integer(0);
  const std::string_view text = char_range(self, bounds.start, bounds.stop);
  if (needle.empty()) return Value::integer(count_code_points(text) + 1);
  int64_t n = 0;
  for (size_t pos = find_text(text, needle, 0); pos != std::string_view::npos;
       pos = find_text(text, needle, pos + needle.size())) {
    ++n;
  }
  return Value::integer(n);
}

template <bool kAtEnd>
Value starts_or_ends_with(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "startswith", std::move(args), {"", "", ""}, 1);
  const Bounds bounds = clamp_bounds(rt, self.n_chars(), given[1], given[2]);
  if (self.n_chars() != static_cast<int64_t>(self.text().size())) {
    rt.step_text(self.text().size());
  }
  const std::string_view text = char_range(self, bounds.start, bounds.stop);
  const auto matches = [&](const Value& affix_value) {
    const std::string& affix = to_string_argument(rt, affix_value, "the first argument");
    rt.step_text(affix.size());
    if (bounds.start > bounds.stop || affix.size() > text.size()) return false;
    return text.substr(kAtEnd ? text.size() - affix.size() : 0, affix.size()) == affix;
  };
  if (given[0].kind() != Kind::kTuple) return Value::boolean(matches(given[0]));
  return Value::boolean(std::any_of(given[0].items().begin(), given[0].items().end(), matches));
}

bool all_chars(std::string_view text, bool (*test)(char32_t)) {
  if (text.empty()) return false;
  for (size_t pos = 0; pos < text.size();) {
    if (!test(decode_at(text, &pos))) return false;
  }
  return true;
}

template <bool (*Test)(char32_t)>
bool all_are(std::string_view text) {
  return all_chars(text, Test);
}

// At least one cased character, and none for which `excluded` holds or that is a title letter.
bool has_only_case(std::string_view text, bool (*excluded)(char32_t)) {
  bool has_cased = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = decode_at(text, &pos);
    if (excluded(c) || is_title(c)) return false;
    has_cased = has_cased || is_cased(c);
  }
  return has_cased;
}

bool is_title_text(std::string_view text) {
  bool has_cased = false;
  bool in_word = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = decode_at(text, &pos);
    const bool is_capital = is_upper(c) || is_title(c);
    if ((is_capital && in_word) || (is_lower(c) && !in_word)) return false;
    in_word = is_capital || is_lower(c);
    has_cased = has_cased || in_word;
  }
  return has_cased;
}

bool is_ascii_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_printable_text(std::string_view text) {
  return text.empty() || all_chars(text, is_printable);
}

template <bool (*Test)(std::string_view)>
Value ask(Runtime& rt, const Value& self, CallArgs args) {
  bind(rt, "test of a text", std::move(args), {}, 0);
  rt.step_text(8 * self.text().size());
  return Value::boolean(Test(self.text()));
}

constexpr std::array<Method, 18> kQueries = {{
    {"count", count},
    {"endswith", starts_or_ends_with<true>},
    {"find", find<false, false>},
    {"index", find<false, true>},
    {"isalnum", ask<all_are<is_alnum>>},
    {"isalpha", ask<all_are<is_alpha>>},
    {"isascii", ask<is_ascii_text>},
    {"isdecimal", ask<all_are<is_decimal>>},
    {"isdigit", ask<all_are<is_digit>>},
    {"islower", ask<is_lower_text>},
    {"isnumeric", ask<all_are<is_numeric>>},
    {"isprintable", ask<is_printable_text>},
    {"isspace", ask<all_are<is_space>>},
    {"istitle", ask<is_title_text>},
    {"isupper", ask<is_upper_text>},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"startswith", starts_or_ends_with<false>},
}};

}  // namespace

bool is_upper_text(std::string_view text) { return has_only_case(text, is_lower); }
bool is_lower_text(std::string_view text) { return has_only_case(text, is_upper); }

const Method* find_string_query(std::string_view name) {
  const auto found = std::find_if(kQueries.begin(), kQueries.end(),
                                  [name](const Method& method) { return method.name == name; });
  return found == kQueries.end() ? nullptr : &*found;
}

}  // namespace prefold::jinja
