#include <fmt/format.h>

#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text_search.h"

namespace prefold::jinja {
namespace {

bool less_sequence(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  const size_t n_common = std::min(a.size(), b.size());
  for (size_t i = 0; i < n_common; ++i) {
    if (!equal_values(rt, a[i], b[i])) return less(rt, a[i], b[i]);
  }
  return a.size() < b.size();
}

bool range_contains(const RangeData& range, const Value& item) {
  if (!item.is_number()) return false;
  if (item.kind() == Kind::kFloat) {
    // Floats are compared with each item in Python; only whole ones can be equal to any.
    const double number = item.as_real();
    if (!(number > -9e18 && number < 9e18)) return false;
    if (static_cast<double>(static_cast<int64_t>(number)) != number) return false;
    return range_contains(range, Value::integer(static_cast<int64_t>(number)));
  }
  const int64_t i = item.as_int();
  const bool is_inside =
      range.step > 0 ? (i >= range.start && i < range.stop) : (i <= range.start && i > range.stop);
  if (!is_inside) return false;
  // Both differences as unsigned: they fit.
  const uint64_t distance = range.step > 0
                                ? static_cast<uint64_t>(i) - static_cast<uint64_t>(range.start)
                                : static_cast<uint64_t>(range.start) - static_cast<uint64_t>(i);
  const uint64_t stride =
      range.step > 0 ? static_cast<uint64_t>(range.step) : ~static_cast<uint64_t>(range.step) + 1;
  return distance % stride == 0;
}

bool dict_contains(Runtime& rt, const DictData& dict, const Value& key) {
  rt.step(1 + key.weight() / 8);
  size_t hash = 0;
  if (!hash_key(key, &hash)) rt.fail(fmt::format("unhashable type: '{}'", type_name(key)));
  return dict.find(key) != nullptr;
}

}  // namespace

bool equal_values(Runtime& rt, const Value& a, const Value& b) {
  rt.step(std::min(a.weight(), b.weight()));
  return equal(a, b);
}

bool less(Runtime& rt, const Value& a, const Value& b) {
  rt.step();
  if (a.is_undefined()) rt.fail(a.message());
  if (b.is_undefined()) rt.fail(b.message());
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() < b.as_int();
    const auto wide = [](const Value& v) {
      return v.is_integral() ? static_cast<long double>(v.as_int())
                             : static_cast<long double>(v.as_real());
    };
    return wide(a) < wide(b);
  }
  if (a.is_string() && b.is_string()) {
    rt.step_text(std::min(a.text().size(), b.text().size()));
    return a.text() < b.text();  // bytes of UTF-8 sort as code points do
  }
  if (a.is_sequence() && a.kind() == b.kind()) return less_sequence(rt, a.items(), b.items());
  rt.fail(fmt::format("'<' not supported between instances of '{}' and '{}'", type_name(a),
                      type_name(b)));
}

bool contains(Runtime& rt, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is_string()) {
        rt.fail(
            fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
      }
      rt.step_text(container.text().size());
      return find_text(container.text(), item.text(), 0) != std::string_view::npos;
    case Kind::kList:
    case Kind::kTuple:
      for (const Value& other : container.items()) {
        if (equal_values(rt, other, item)) return true;
      }
      return false;
    case Kind::kDict:
      return dict_contains(rt, container.as_dict(), item);
    case Kind::kDictView:
      if (container.as_view().part == DictPart::kKeys) {
        return dict_contains(rt, container.as_view().dict.as_dict(), item);
      }
      break;
    case Kind::kRange:
      return range_contains(container.as_range(), item);
    default:
      break;
  }
  const std::unique_ptr<Iterator> iterator = find_iterator(container);
  if (iterator == nullptr) {
    rt.fail(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
  for (Value other; iterator->next(rt, &other);) {
    if (equal_values(rt, other, item)) return true;
  }
  return false;
}

bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEq:
      return equal_values(rt, a, b);
    case CompareOp::kNe:
      return !equal_values(rt, a, b);
    case CompareOp::kLt:
      return less(rt, a, b);
    case CompareOp::kGt:
      return less(rt, b, a);
    case CompareOp::kIn:
      return contains(rt, b, a);
    case CompareOp::kNotIn:
      return !contains(rt, b, a);
    case CompareOp::kLe:
    case CompareOp::kGe:
      break;
  }
  const Value& small = op == CompareOp::kLe ? a : b;
  const Value& large = op == CompareOp::kLe ? b : a;
  // "not greater" would be wrong for NaN alone.
  return less(rt, small, large) || equal_values(rt, small, large);
}

Value escape_html(Runtime& rt, const Value& value) {
  if (value.is_markup()) return value;
  const Value text = soft_text(rt, value);
  std::string out;
  out.reserve(text.text().size());
  for (char c : text.text()) {
    check_text_size(rt, out.size());
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return rt.string(std::move(out), true);
}

}  // namespace prefold::jinja
