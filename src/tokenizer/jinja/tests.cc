// The tests of "is".
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin_table.h"
#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/string_methods.h"

namespace prefold::jinja {
namespace {

// A test of the value alone.
template <bool (*Test)(const Value&)>
Value unary(Runtime& rt, CallArgs args) {
  return Value::boolean(Test(bind(rt, "test", std::move(args), {"value"}, 1)[0]));
}

template <CompareOp kOp>
Value compare_with(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "test", std::move(args), {"", ""}, 2);
  return Value::boolean(compare(rt, kOp, given[0], given[1]));
}

bool has_remainder(Runtime& rt, const Value& value, const Value& divisor, int64_t remainder) {
  return equal(binary(rt, BinaryOp::kMod, value, divisor), Value::integer(remainder));
}

Value odd(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "odd", std::move(args), {"value"}, 1)[0];
  return Value::boolean(has_remainder(rt, value, Value::integer(2), 1));
}
Value even(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "even", std::move(args), {"value"}, 1)[0];
  return Value::boolean(has_remainder(rt, value, Value::integer(2), 0));
}
Value divisible_by(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "divisibleby", std::move(args), {"value", "num"}, 2);
  return Value::boolean(has_remainder(rt, given[0], given[1], 0));
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_undefined(const Value& value) { return value.is_undefined(); }
bool is_none(const Value& value) { return value.is_none(); }
bool is_boolean(const Value& value) { return value.kind() == Kind::kBool; }
bool is_true(const Value& value) { return is_boolean(value) && value.as_bool(); }
bool is_false(const Value& value) { return is_boolean(value) && !value.as_bool(); }
bool is_integer(const Value& value) { return value.kind() == Kind::kInt; }
bool is_float(const Value& value) { return value.kind() == Kind::kFloat; }
bool is_number(const Value& value) { return value.is_number(); }
bool is_string(const Value& value) { return value.is_string(); }
bool is_mapping(const Value& value) { return value.is_dict(); }
bool is_iterable(const Value& value) { return find_iterator(value) != nullptr; }
bool is_escaped(const Value& value) { return value.is_markup(); }

// Has len() and takes subscripts.
bool is_sequence(const Value& value) {
  return value.is_string() || value.is_sequence() || value.is_dict() ||
         value.kind() == Kind::kRange || value.is_undefined();
}

Value lower(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "lower", std::move(args), {"value"}, 1)[0];
  return Value::boolean(is_lower_text(to_text(rt, value)));
}
Value upper(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "upper", std::move(args), {"value"}, 1)[0];
  return Value::boolean(is_upper_text(to_text(rt, value)));
}

// Python's `is`. CPython keeps one object for each integer from -5 to 256.
Value same_as(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "sameas", std::move(args), {"value", "other"}, 2);
  const Value& a = given[0];
  const Value& b = given[1];
  if (a.kind() != b.kind()) return Value::boolean(false);
  switch (a.kind()) {
    case Kind::kNone:
      return Value::boolean(true);
    case Kind::kBool:
      return Value::boolean(a.as_bool() == b.as_bool());
    case Kind::kInt:
      return Value::boolean(a.as_int() == b.as_int() && a.as_int() >= -5 && a.as_int() <= 256);
    case Kind::kFloat:
      return Value::boolean(false);
    case Kind::kObject:
      return Value::boolean(a.as_object() == b.as_object());
    default:
      return Value::boolean(a.identity() == b.identity());
  }
}

Value is_filter(Runtime& rt, CallArgs args) {
  const Value name = bind(rt, "filter", std::move(args), {"value"}, 1)[0];
  return Value::boolean(name.is_string() && find_filter(name.text()) != nullptr);
}
Value is_test(Runtime& rt, CallArgs args) {
  const Value name = bind(rt, "test", std::move(args), {"value"}, 1)[0];
  return Value::boolean(name.is_string() && find_test(name.text()) != nullptr);
}

constexpr std::array<NamedBuiltin, 39> kTests = {{
    {"!=", compare_with<CompareOp::kNe>},
    {"<", compare_with<CompareOp::kLt>},
    {"<=", compare_with<CompareOp::kLe>},
    {"==", compare_with<CompareOp::kEq>},
    {">", compare_with<CompareOp::kGt>},
    {">=", compare_with<CompareOp::kGe>},
    {"boolean", unary<is_boolean>},
    {"callable", unary<is_callable>},
    {"defined", unary<is_defined>},
    {"divisibleby", divisible_by},
    {"eq", compare_with<CompareOp::kEq>},
    {"equalto", compare_with<CompareOp::kEq>},
    {"escaped", unary<is_escaped>},
    {"even", even},
    {"false", unary<is_false>},
    {"filter", is_filter},
    {"float", unary<is_float>},
    {"ge", compare_with<CompareOp::kGe>},
    {"greaterthan", compare_with<CompareOp::kGt>},
    {"gt", compare_with<CompareOp::kGt>},
    {"in", compare_with<CompareOp::kIn>},
    {"integer", unary<is_integer>},
    {"iterable", unary<is_iterable>},
    {"le", compare_with<CompareOp::kLe>},
    {"lessthan", compare_with<CompareOp::kLt>},
    {"lower", lower},
    {"lt", compare_with<CompareOp::kLt>},
    {"mapping", unary<is_mapping>},
    {"ne", compare_with<CompareOp::kNe>},
    {"none", unary<is_none>},
    {"number", unary<is_number>},
    {"odd", odd},
    {"sameas", same_as},
    {"sequence", unary<is_sequence>},
    {"string", unary<is_string>},
    {"test", is_test},
    {"true", unary<is_true>},
    {"undefined", unary<is_undefined>},
    {"upper", upper},
}};

}  // namespace

Builtin find_test(std::string_view name) { return find_builtin(kTests, name); }

Builtin find_filter(std::string_view name) {
  for (auto find :
       {find_text_filter, find_sequence_filter, find_selection_filter, find_number_filter}) {
    if (const Builtin filter = find(name)) return filter;
  }
  return nullptr;
}

std::string unknown_filter_message(std::string_view name) {
  constexpr std::array<std::string_view, 8> kUnsupported = {"filesizeformat", "pprint",    "random",
                                                            "striptags",      "urlencode", "urlize",
                                                            "wordwrap",       "xmlattr"};
  const bool exists =
      std::find(kUnsupported.begin(), kUnsupported.end(), name) != kUnsupported.end();
  const std::string quoted = '"' + std::string(name) + '"';
  return exists ? "filter " + quoted + " is not supported" : "no filter named " + quoted;
}

}  // namespace prefold::jinja
