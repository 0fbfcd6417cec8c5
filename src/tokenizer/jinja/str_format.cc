// The two ways of Python to put values into text: "%s" % value and "{}".format(value).
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/format_spec.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/string_methods.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

// format % arguments, after printf.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, const Value& format, const Value& arguments)
      : rt_(rt), format_(format), arguments_(arguments) {}

  Value run() {
    const std::string& text = format_.text();
    rt_.step_text(text.size());
    while (pos_ < text.size()) {
      const size_t percent = std::min(text.find('%', pos_), text.size());
      out_.append(text, pos_, percent - pos_);
      pos_ = percent + 1;
      if (percent < text.size()) conversion();
    }
    const bool is_mapping = arguments_.is_dict() || arguments_.kind() == Kind::kList ||
                            arguments_.kind() == Kind::kRange || arguments_.is_undefined();
    const size_t n_given =
        arguments_.kind() == Kind::kTuple ? arguments_.items().size() : (is_mapping ? 0 : 1);
    if (n_used_ < n_given) rt_.fail("not all arguments converted during string formatting");
    return rt_.string(std::move(out_), format_.is_markup());
  }

 private:
  char peek() const {
    if (pos_ >= format_.text().size()) rt_.fail("incomplete format");
    return format_.text()[pos_];
  }

  Value next_argument() {
    if (arguments_.kind() == Kind::kTuple) {
      if (n_used_ >= arguments_.items().size()) rt_.fail("not enough arguments for format string");
      return arguments_.items()[n_used_++];
    }
    if (n_used_++ > 0) rt_.fail("not enough arguments for format string");
    return arguments_;
  }

  Value named_argument() {
    if (!arguments_.is_dict()) rt_.fail("format requires a mapping");
    std::string name;
    for (int depth = 1;;) {
      const char c = peek();
      ++pos_;
      if (c == '(') ++depth;
      if (c == ')' && --depth == 0) break;
      name += c;
    }
    const Value* found = arguments_.as_dict().find(name);
    if (found == nullptr) rt_.fail(fmt::format("KeyError: {}", string_repr(name)));
    ++n_used_;
    return *found;
  }

  int64_t number_or_star() {
    if (peek() == '*') {
      ++pos_;
      return to_index(rt_, next_argument());
    }
    int64_t number = 0;
    while (peek() >= '0' && peek() <= '9') {
      number = number * 10 + (format_.text()[pos_++] - '0');
      if (number > kMaxFormatWidth) rt_.fail("too wide a field in a format");
    }
    return number;
  }

  void conversion() {
    rt_.step();
    if (peek() == '%') {
      out_ += '%';
      ++pos_;
      return;
    }
    Value argument;
    if (peek() == '(') {
      ++pos_;
      argument = named_argument();
    }
    FormatSpec spec;
    for (;; ++pos_) {
      const char flag = peek();
      if (flag == '-') {
        spec.align = '<';
      } else if (flag == '+' || (flag == ' ' && spec.sign != '+')) {
        spec.sign = flag;
      } else if (flag == '#') {
        spec.alternate = true;
      } else if (flag == '0') {
        spec.zero = true;
      } else if (flag != ' ') {
        break;
      }
    }
    spec.width = number_or_star();
    if (spec.width < 0) {
      spec.width = -spec.width;
      spec.align = '<';
    }
    if (peek() == '.') {
      ++pos_;
      spec.precision = std::max<int64_t>(number_or_star(), 0);
    }
    if (spec.width > kMaxFormatWidth || spec.precision.value_or(0) > kMaxFormatWidth) {
      rt_.fail("too wide a field in a format");
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++pos_;
    spec.type = peek();
    ++pos_;
    if (spec.align == '<') spec.zero = false;
    if (argument.is_missing()) argument = next_argument();
    out_ += convert(argument, spec);
    check_text_size(rt_, out_.size());
  }

  std::string convert(const Value& argument, FormatSpec spec) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a':
        return convert_text(argument, spec);
      case 'c':
        return convert_char(argument, spec);
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        return convert_int(argument, spec);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (!argument.is_number()) {
          rt_.fail(fmt::format("must be real number, not {}", type_name(argument)));
        }
        return pad_to_width(rt_, format_real(rt_, argument.as_real(), spec), spec, '>');
      default:
        rt_.fail(fmt::format("unsupported format character '{}' in a % format",
                             static_cast<unsigned char>(spec.type) < 0x80 ? spec.type : '?'));
    }
  }

  std::string convert_text(const Value& argument, FormatSpec spec) {
    Value text = spec.type == 's' ? rt_.string(to_text(rt_, argument), argument.is_markup())
                                  : rt_.string(repr(rt_, argument));
    if (spec.type == 'a') rt_.fail("%a is not supported");
    if (format_.is_markup()) text = escape_html(rt_, text);
    if (spec.align == 0) spec.align = '>';
    spec.type = 's';
    spec.sign = '-';
    spec.alternate = false;
    spec.zero = false;
    return format_value(rt_, text, spec, false);
  }

  std::string convert_char(const Value& argument, FormatSpec spec) {
    spec.sign = '-';
    spec.alternate = false;
    spec.zero = false;
    spec.precision.reset();
    if (argument.is_string() && argument.n_chars() == 1) {
      return pad_to_width(rt_, argument.text(), spec, '>');
    }
    if (!argument.is_integral()) rt_.fail("%c requires int or char");
    return format_value(rt_, argument, spec, false);
  }

  std::string convert_int(const Value& argument, FormatSpec spec) {
    int64_t number = 0;
    if (argument.is_integral()) {
      number = argument.as_int();
    } else if (argument.kind() == Kind::kFloat && spec.type != 'x' && spec.type != 'X' &&
               spec.type != 'o') {
      if (!(std::fabs(argument.as_real()) < 9.2e18)) rt_.fail("%d: the number is out of range");
      number = static_cast<int64_t>(argument.as_real());
    } else {
      rt_.fail(fmt::format("%{} format: a real number is required, not {}", spec.type,
                           type_name(argument)));
    }
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    std::string digits = format_int(rt_, number, spec);
    // A precision is the least number of digits.
    const size_t n_sign = digits.find_first_of("0123456789abcdefABCDEF");
    const auto least = static_cast<size_t>(spec.precision.value_or(0));
    if (digits.size() - n_sign < least)
      digits.insert(n_sign, least - (digits.size() - n_sign), '0');
    return pad_to_width(rt_, std::move(digits), spec, '>');
  }

  Runtime& rt_;
  const Value& format_;
  const Value& arguments_;
  std::string out_;
  size_t pos_ = 0;
  size_t n_used_ = 0;
};

// "{name.attribute[key]!r:spec}" and its like.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const std::vector<Value>& positional, const Value& named,
                 bool escapes)
      : rt_(rt), positional_(positional), named_(named), escapes_(escapes) {}

  // `depth` fields may be nested in the text: a spec may hold fields itself.
  std::string run(std::string_view text, int depth) {
    if (depth < 0) rt_.fail("max string recursion exceeded");
    rt_.step_text(text.size());
    std::string out;
    for (size_t pos = 0; pos < text.size();) {
      const char c = text[pos++];
      const bool is_doubled = pos < text.size() && text[pos] == c;
      if (c != '{' && c != '}') {
        out += c;
      } else if (is_doubled) {
        out += c;
        ++pos;
      } else if (c == '}') {
        rt_.fail("single '}' encountered in format string");
      } else {
        const size_t end = field_end(text, pos);
        out += field(text.substr(pos, end - pos), depth);
        pos = end + 1;
      }
      check_text_size(rt_, out.size());
    }
    return out;
  }

 private:
  size_t field_end(std::string_view text, size_t pos) const {
    for (int open = 1; pos < text.size(); ++pos) {
      if (text[pos] == '{') ++open;
      if (text[pos] == '}' && --open == 0) return pos;
      if (text[pos] == '[') {
        pos = text.find(']', pos);
        if (pos == std::string_view::npos) break;
      }
    }
    rt_.fail("expected '}' before end of string");
  }

  std::string field(std::string_view text, int depth) {
    size_t name_end = 0;
    while (name_end < text.size() && text[name_end] != '!' && text[name_end] != ':') {
      if (text[name_end] == '[') name_end = std::min(text.find(']', name_end), text.size() - 1);
      ++name_end;
    }
    Value value = lookup(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
        rt_.fail("bad conversion in a format");
      if (rest[1] == 's') {
        value = rt_.string(to_text(rt_, value));
      } else if (rest[1] == 'r') {
        value = rt_.string(repr(rt_, value));
      } else {
        rt_.fail("unknown conversion in a format");
      }
      rest.remove_prefix(2);
    }
    const std::string spec_text = rest.empty() ? "" : run(rest.substr(1), depth - 1);
    std::string out =
        format_value(rt_, value, parse_format_spec(rt_, spec_text), spec_text.empty());
    return escapes_ ? escape_html(rt_, rt_.string(std::move(out), value.is_markup())).text() : out;
  }

  static bool is_number(std::string_view text, int64_t* number) {
    const auto result = std::from_chars(text.data(), text.data() + text.size(), *number);
    return !text.empty() && text[0] != '-' && result.ec == std::errc() &&
           result.ptr == text.data() + text.size();
  }

  Value lookup(std::string_view path) {
    const size_t first_end = std::min(path.find_first_of(".["), path.size());
    Value value = first(path.substr(0, first_end));
    path.remove_prefix(first_end);
    while (!path.empty()) {
      rt_.step();
      if (path[0] == '.') {
        const size_t end = std::min(path.find_first_of(".[", 1), path.size());
        if (end == 1) rt_.fail("empty attribute in format string");
        value = get_attribute(rt_, value, path.substr(1, end - 1));
        path.remove_prefix(end);
      } else {
        const size_t end = path.find(']');
        if (path[0] != '[' || end == std::string_view::npos) rt_.fail("bad field in a format");
        if (end == 1) rt_.fail("empty attribute in format string");
        const std::string_view key = path.substr(1, end - 1);
        int64_t number = 0;
        value = get_item(
            rt_, value,
            is_number(key, &number) ? Value::integer(number) : rt_.string(std::string(key)));
        path.remove_prefix(end + 1);
      }
    }
    return value;
  }

  Value first(std::string_view name) {
    int64_t number = 0;
    const bool is_numbered = is_number(name, &number);
    if (name.empty() || is_numbered) {
      if (is_numbered == uses_automatic_ && has_numbering_) {
        rt_.fail("cannot switch between manual and automatic field numbering");
      }
      has_numbering_ = true;
      uses_automatic_ = !is_numbered;
      if (!is_numbered) number = n_automatic_++;
      if (number >= static_cast<int64_t>(positional_.size())) {
        rt_.fail(fmt::format("replacement index {} out of range for positional args", number));
      }
      return positional_[static_cast<size_t>(number)];
    }
    const Value found = get_item(rt_, named_, rt_.string(std::string(name)));
    if (found.is_undefined() && (!named_.is_dict() || named_.as_dict().find(name) == nullptr)) {
      rt_.fail(fmt::format("KeyError: {}", string_repr(std::string(name))));
    }
    return found;
  }

  Runtime& rt_;
  const std::vector<Value>& positional_;
  const Value& named_;
  bool escapes_;
  bool has_numbering_ = false;
  bool uses_automatic_ = false;
  int64_t n_automatic_ = 0;
};

constexpr int kNestedFields = 2;

}  // namespace

Value format_percent(Runtime& rt, const Value& format, const Value& arguments) {
  return PercentFormatter(rt, format, arguments).run();
}

Value format_braces(Runtime& rt, const Value& self, CallArgs args) {
  const std::shared_ptr<DictData> named = rt.new_dict();
  for (const auto& [name, value] : args.named) rt.set_item(named.get(), rt.string(name), value);
  const Value named_value = Value::dict(named);
  BraceFormatter formatter(rt, args.positional, named_value, self.is_markup());
  return rt.string(formatter.run(self.text(), kNestedFields), self.is_markup());
}

Value format_map_braces(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "format_map", std::move(args), {""}, 1);
  const std::vector<Value> none;
  BraceFormatter formatter(rt, none, given[0], self.is_markup());
  return rt.string(formatter.run(self.text(), kNestedFields), self.is_markup());
}

}  // namespace prefold::jinja
