// Filters that give text.
#include <fmt/format.h>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin_table.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/string_methods.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

// Filters such as upper call the method of the same name on str(value).
template <const char* kName>
Value as_method(Runtime& rt, CallArgs args) {
  if (args.positional.empty()) rt.fail("filter without input");
  const Value self = soft_text(rt, args.positional[0]);
  args.positional.erase(args.positional.begin());
  return find_string_method(kName)->call(rt, self, std::move(args));
}

constexpr char kUpper[] = "upper";
constexpr char kLower[] = "lower";
constexpr char kCapitalize[] = "capitalize";

Value trim(Runtime& rt, CallArgs args) {
  std::vector<Value> given = bind(rt, "trim", std::move(args), {"value", "chars"}, 1);
  CallArgs method_args;
  if (!given[1].is_missing()) method_args.positional.push_back(given[1]);
  return find_string_method("strip")->call(rt, soft_text(rt, given[0]), std::move(method_args));
}

Value center(Runtime& rt, CallArgs args) {
  std::vector<Value> given = bind(rt, "center", std::move(args), {"value", "width"}, 1);
  CallArgs method_args;
  method_args.positional.push_back(given[1].is_missing() ? Value::integer(80) : given[1]);
  return find_string_method("center")->call(rt, soft_text(rt, given[0]), std::move(method_args));
}

// Words begin after spaces and - ( { [ <; unlike str.title, not after apostrophes and digits.
Value title(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "title", std::move(args), {"s"}, 1);
  const std::string text = to_text(rt, given[0]);
  rt.step_text(8 * text.size());
  std::string out;
  std::string_view rest = text;
  const auto is_between = [](char32_t c) {
    return is_space(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos;
  };
  while (!rest.empty()) {
    size_t end = 0;
    size_t first_end = 0;
    bool between = false;
    for (size_t pos = 0; pos < rest.size(); end = pos) {
      const bool here = is_between(decode_at(rest, &pos));
      if (end == 0) {
        between = here;
        first_end = pos;
      } else if (here != between) {
        break;
      }
    }
    out += to_upper(rest.substr(0, first_end)) + to_lower(rest.substr(first_end, end - first_end));
    rest.remove_prefix(end);
  }
  return rt.string(std::move(out));
}

Value replace(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "replace", std::move(args), {"s", "old", "new", "count"}, 3);
  const int64_t count = is_given(given[3]) ? to_index(rt, given[3]) : -1;
  return rt.string(
      replace_text(rt, to_text(rt, given[0]), to_text(rt, given[1]), to_text(rt, given[2]), count));
}

Value indent(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "indent", std::move(args), {"s", "width", "first", "blank"}, 1);
  if (given[0].is_undefined()) rt.fail(given[0].message());
  const Value text = rt.string(to_string_argument(rt, given[0], "the indented value") + "\n",
                               given[0].is_markup());
  std::string indention;
  if (given[1].is_string()) {
    indention = given[1].text();
  } else {
    const int64_t width = given[1].is_missing() ? 4 : to_index(rt, given[1]);
    if (width > kMaxFormatWidth) rt.fail("indent: the width is too large");
    indention.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  std::string out = truthy(given[2]) ? indention : "";
  bool is_first = true;
  for (std::string_view line : split_lines(text.text(), false)) {
    rt.step_text(line.size() + indention.size());
    if (!is_first) {
      out += '\n';
      if (!line.empty() || truthy(given[3])) out += indention;
    }
    is_first = false;
    out += line;
    check_text_size(rt, out.size());
  }
  return rt.string(std::move(out), text.is_markup());
}

Value string(Runtime& rt, CallArgs args) {
  return soft_text(rt, bind(rt, "string", std::move(args), {"object"}, 1)[0]);
}

Value safe(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "safe", std::move(args), {"value"}, 1);
  return soft_text(rt, given[0]).with_markup(true);
}

Value escape(Runtime& rt, CallArgs args) {
  return escape_html(rt, bind(rt, "escape", std::move(args), {"s"}, 1)[0]);
}

Value forceescape(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "forceescape", std::move(args), {"value"}, 1);
  return escape_html(rt, soft_text(rt, given[0]).with_markup(false));
}

Value format(Runtime& rt, CallArgs args) {
  if (args.positional.empty()) rt.fail("filter without input");
  const Value text = soft_text(rt, args.positional[0]);
  args.positional.erase(args.positional.begin());
  if (args.named.empty()) return format_percent(rt, text, rt.tuple(std::move(args.positional)));
  if (!args.positional.empty()) {
    rt.fail("can't handle positional and keyword arguments at the same time");
  }
  const std::shared_ptr<DictData> named = rt.new_dict();
  for (const auto& [name, value] : args.named) rt.set_item(named.get(), rt.string(name), value);
  return format_percent(rt, text, Value::dict(named));
}

Value wordcount(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "wordcount", std::move(args), {"s"}, 1);
  const std::string text = to_text(rt, given[0]);
  rt.step_text(8 * text.size());
  int64_t n_words = 0;
  bool in_word = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = decode_at(text, &pos);
    const bool is_word_char = c == '_' || is_alnum(c);
    if (is_word_char && !in_word) ++n_words;
    in_word = is_word_char;
  }
  return Value::integer(n_words);
}

Value truncate(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "truncate", std::move(args), {"s", "length", "killwords", "end", "leeway"}, 1);
  const Value& text = given[0];
  if (text.is_undefined()) return text;
  to_string_argument(rt, text, "the truncated value");
  const int64_t length = given[1].is_missing() ? 255 : to_index(rt, given[1]);
  const Value end = given[3].is_missing() ? rt.string("...") : given[3];
  const std::string& end_text = to_string_argument(rt, end, "end");
  const int64_t leeway = is_given(given[4]) ? to_index(rt, given[4]) : 5;
  if (length < end.n_chars() || leeway < 0) {
    rt.fail("truncate: the length must be at least that of the end, the leeway at least 0");
  }
  if (text.n_chars() <= leeway || text.n_chars() - leeway <= length) return text;
  std::string_view kept = char_range(text, 0, length - end.n_chars());
  if (!truthy(given[2])) kept = kept.substr(0, kept.rfind(' '));
  return rt.string(std::string(kept) + end_text);
}

JsonStyle json_style(Runtime& rt, const std::vector<Value>& given) {
  JsonStyle style;
  style.ensure_ascii = truthy(given[1]);
  style.sort_keys = truthy(given[4]);
  if (is_given(given[2])) {
    style.is_indented = true;
    style.item_separator.assign(1, ',');
    if (given[2].is_string()) {
      style.indent = given[2].text();
    } else {
      const int64_t width = to_index(rt, given[2]);
      if (width > kMaxFormatWidth) rt.fail("tojson: the indent is too large");
      style.indent.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
    }
  }
  if (is_given(given[3])) {
    const std::vector<Value>* pair = given[3].is_sequence() ? &given[3].items() : nullptr;
    if (pair == nullptr || pair->size() != 2) rt.fail("tojson: separators must be two texts");
    style.item_separator = to_string_argument(rt, (*pair)[0], "the item separator");
    style.key_separator = to_string_argument(rt, (*pair)[1], "the key separator");
  }
  return style;
}

// transformers' own: json.dumps, and no escaping of HTML.
Value tojson(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(
      rt, "tojson", std::move(args), {"x", "ensure_ascii", "indent", "separators", "sort_keys"}, 1);
  return rt.string(to_json(rt, given[0], json_style(rt, given)));
}

constexpr std::array<NamedBuiltin, 17> kFilters = {{
    {"capitalize", as_method<kCapitalize>},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"forceescape", forceescape},
    {"format", format},
    {"indent", indent},
    {"lower", as_method<kLower>},
    {"replace", replace},
    {"safe", safe},
    {"string", string},
    {"title", title},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", as_method<kUpper>},
    {"wordcount", wordcount},
}};

}  // namespace

Builtin find_text_filter(std::string_view name) { return find_builtin(kFilters, name); }

}  // namespace prefold::jinja
