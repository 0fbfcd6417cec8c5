#include "tokenizer/jinja/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

void append_items(Runtime& rt, const std::vector<Value>& items, std::string* out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) *out += ", ";
    append_repr(rt, items[i], out);
  }
}

void append_dict(Runtime& rt, const DictData& dict, std::string* out) {
  *out += '{';
  bool is_first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!is_first) *out += ", ";
    is_first = false;
    append_repr(rt, key, out);
    *out += ": ";
    append_repr(rt, value, out);
  }
  *out += '}';
}

void append_view(Runtime& rt, const DictViewData& view, const std::string& name, std::string* out) {
  *out += name + "([";
  bool is_first = true;
  for (const auto& [key, value] : view.dict.as_dict().entries()) {
    if (!is_first) *out += ", ";
    is_first = false;
    if (view.part == DictPart::kItems) *out += '(';
    if (view.part != DictPart::kValues) append_repr(rt, key, out);
    if (view.part == DictPart::kItems) *out += ", ";
    if (view.part != DictPart::kKeys) append_repr(rt, value, out);
    if (view.part == DictPart::kItems) *out += ')';
  }
  *out += "])";
}

class JsonWriter {
 public:
  JsonWriter(Runtime& rt, const JsonStyle& style) : rt_(rt), style_(style) {}

  std::string run(const Value& value) {
    write(value);
    return std::move(out_);
  }

 private:
  void write(const Value& value) {
    rt_.step();
    check_text_size(rt_, out_.size());
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return;
      case Kind::kBool:
        out_ += value.as_bool() ? "true" : "false";
        return;
      case Kind::kInt:
        out_ += std::to_string(value.as_int());
        return;
      case Kind::kFloat:
        out_ += json_float(value.as_real());
        return;
      case Kind::kString:
        write_string(value.text());
        return;
      case Kind::kList:
      case Kind::kTuple:
        write_list(value.items());
        return;
      case Kind::kDict:
        write_dict(value.as_dict());
        return;
      default:
        rt_.fail(fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
  }

  static std::string json_float(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return float_repr(number);
  }

  void new_line(int32_t level) {
    if (!style_.is_indented) return;
    out_ += '\n';
    for (int32_t i = 0; i < level; ++i) out_ += style_.indent;
    check_text_size(rt_, out_.size());
    rt_.step_text(style_.indent.size() * static_cast<size_t>(level));
  }

  void write_list(const std::vector<Value>& items) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level_);
      write(items[i]);
    }
    --level_;
    new_line(level_);
    out_ += ']';
  }

  void write_dict(const DictData& dict) {
    if (dict.entries().empty()) {
      out_ += "{}";
      return;
    }
    std::vector<DictData::Entry> sorted;
    if (style_.sort_keys) {
      sorted = dict.entries();
      std::stable_sort(sorted.begin(), sorted.end(),
                       [this](const DictData::Entry& a, const DictData::Entry& b) {
                         return less(rt_, a.first, b.first);
                       });
    }
    out_ += '{';
    ++level_;
    bool is_first = true;
    for (const auto& [key, value] : style_.sort_keys ? sorted : dict.entries()) {
      if (!is_first) out_ += style_.item_separator;
      is_first = false;
      new_line(level_);
      write_key(key);
      out_ += style_.key_separator;
      write(value);
    }
    --level_;
    new_line(level_);
    out_ += '}';
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        write_string(key.text());
        return;
      case Kind::kNone:
        out_ += "\"null\"";
        return;
      case Kind::kBool:
        out_ += key.as_bool() ? "\"true\"" : "\"false\"";
        return;
      case Kind::kInt:
        out_ += fmt::format("\"{}\"", key.as_int());
        return;
      case Kind::kFloat:
        out_ += '"' + json_float(key.as_real()) + '"';
        return;
      default:
        rt_.fail(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
  }

  void write_string(const std::string& text) {
    rt_.step_text(text.size());
    out_ += '"';
    for (size_t pos = 0; pos < text.size();) {
      check_text_size(rt_, out_.size());
      const char32_t c = decode_at(text, &pos);
      const size_t short_escape = std::u32string_view(U"\"\\\n\r\t\f\b").find(c);
      if (short_escape != std::u32string_view::npos) {
        out_ += '\\';
        out_ += "\"\\nrtfb"[short_escape];
      } else if (c < 0x20 || (style_.ensure_ascii && c > 0x7E && c < 0x10000)) {
        out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
      } else if (style_.ensure_ascii && c >= 0x10000) {
        const auto rest = static_cast<uint32_t>(c) - 0x10000;
        out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 | (rest >> 10), 0xDC00 | (rest & 0x3FF));
      } else {
        append_utf8(&out_, c);
      }
    }
    out_ += '"';
  }

  Runtime& rt_;
  const JsonStyle& style_;
  std::string out_;
  int32_t level_ = 0;
};

}  // namespace

void check_text_size(Runtime& rt, size_t n_bytes) {
  if (n_bytes > static_cast<size_t>(kMaxStringBytes)) {
    rt.fail(fmt::format("a text grows beyond {} MiB", kMaxStringBytes >> 20));
  }
}

// The shortest digits that read back as the same number, laid out as Python does: an exponent
// below 1e-4 and from 1e16 on.
std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(number),
                                    std::chars_format::scientific);
  const std::string scientific(buffer, result.ptr);
  const std::string_view sign = std::signbit(number) ? "-" : "";
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  std::string digits = scientific.substr(0, e);
  digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
  if (exponent < -4 || exponent >= 16) {
    const std::string_view point = digits.size() > 1 ? "." : "";
    return fmt::format("{}{}{}{}e{}{:02}", sign, digits[0], point, digits.substr(1),
                       exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return fmt::format("{}0.{:0<{}}{}", sign, "", -exponent - 1, digits);
  }
  const auto n_whole = static_cast<size_t>(exponent + 1);
  if (digits.size() <= n_whole) return fmt::format("{}{:0<{}}.0", sign, digits, n_whole);
  return fmt::format("{}{}.{}", sign, digits.substr(0, n_whole), digits.substr(n_whole));
}

std::string string_repr(const std::string& text) {
  const bool use_double =
      text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = use_double ? '"' : '\'';
  std::string out(1, quote);
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = decode_at(text, &pos);
    const auto code = static_cast<uint32_t>(c);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if ((c >= 0x20 && c < 0x7F) || (c >= 0x7F && is_printable(c))) {
      append_utf8(&out, c);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", code);
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      out += fmt::format("\\U{:08x}", code);
    }
  }
  out += quote;
  return out;
}

void append_repr(Runtime& rt, const Value& value, std::string* out) {
  rt.step();
  check_text_size(rt, out->size());
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      *out += "Undefined";
      return;
    case Kind::kNone:
      *out += "None";
      return;
    case Kind::kBool:
      *out += value.as_bool() ? "True" : "False";
      return;
    case Kind::kInt:
      *out += std::to_string(value.as_int());
      return;
    case Kind::kFloat:
      *out += float_repr(value.as_real());
      return;
    case Kind::kString:
      rt.step_text(value.text().size());
      *out += value.is_markup() ? fmt::format("Markup({})", string_repr(value.text()))
                                : string_repr(value.text());
      return;
    case Kind::kList:
      *out += '[';
      append_items(rt, value.items(), out);
      *out += ']';
      return;
    case Kind::kTuple:
      *out += '(';
      append_items(rt, value.items(), out);
      *out += value.items().size() == 1 ? ",)" : ")";
      return;
    case Kind::kDict:
      append_dict(rt, value.as_dict(), out);
      return;
    case Kind::kDictView:
      append_view(rt, value.as_view(), type_name(value), out);
      return;
    case Kind::kRange: {
      const RangeData& range = value.as_range();
      *out += range.step == 1
                  ? fmt::format("range({}, {})", range.start, range.stop)
                  : fmt::format("range({}, {}, {})", range.start, range.stop, range.step);
      return;
    }
    case Kind::kMethod:
      *out += fmt::format("<built-in method of {} object>", type_name(value.as_method().self));
      return;
    case Kind::kObject: {
      const Runtime::Depth depth(&rt);
      value.as_object()->append_repr(rt, out);
      return;
    }
  }
}

std::string repr(Runtime& rt, const Value& value) {
  std::string out;
  append_repr(rt, value, &out);
  return out;
}

void append_text(Runtime& rt, const Value& value, std::string* out) {
  if (value.is_string()) {
    rt.step_text(value.text().size());
    check_text_size(rt, out->size() + value.text().size());
    *out += value.text();
  } else if (!value.is_undefined() && !value.is_missing()) {
    append_repr(rt, value, out);
    check_text_size(rt, out->size());
  }
}

std::string to_text(Runtime& rt, const Value& value) {
  std::string out;
  append_text(rt, value, &out);
  return out;
}

Value soft_text(Runtime& rt, const Value& value) {
  return value.is_string() ? value : rt.string(to_text(rt, value));
}

std::string to_json(Runtime& rt, const Value& value, const JsonStyle& style) {
  return JsonWriter(rt, style).run(value);
}

}  // namespace prefold::jinja
