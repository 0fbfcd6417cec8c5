#include "tokenizer/oniguruma_bracket.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace prefold {
namespace {

void property(OnigurumaReader& in, ClassText& set, bool negated, OnigurumaOptions options,
              size_t begin) {
  const size_t close = in.pattern.find('}', in.pos);
  if (!in.accept("{") || close == std::string_view::npos) in.refuse("\\p without {...}", begin);
  if (in.accept("^")) negated = !negated;
  const std::string_view name = in.pattern.substr(in.pos, close - in.pos);
  in.pos = close + 1;
  const RegexClass* known = find_regex_class(name);
  if (options.ignore_case) in.refuse("\\p{...} without regard to case", begin);
  if (known == nullptr || known->name == "w") {
    in.refuse(fmt::format("the property \"{}\"", name), begin);
  }
  set.add(*known, negated);
}

void add_to_class(const OnigurumaReader& in, char32_t first, char32_t last, ClassText& set,
                  OnigurumaOptions options, size_t begin) {
  set.add_range(first, last);
  if (!options.ignore_case) return;
  if (last >= 0x80) in.refuse("a character outside of ASCII without regard to case", begin);
  for (char32_t c = first; c <= last; ++c) {
    if (!is_ascii_letter(c)) continue;
    set.add_range(c ^ 0x20, c ^ 0x20);
    if ((c | 0x20) == 's') set.add_range(0x17f, 0x17f);
    if ((c | 0x20) == 'k') set.add_range(0x212a, 0x212a);
  }
}

char32_t class_character(OnigurumaReader& in, size_t begin) {
  if (!in.accept("\\")) return next_char(in.pattern, in.pos);
  if (in.at_end()) in.refuse("\"\\\" at its end", begin);
  if (in.accept("b")) return '\b';
  return character_escape(in, begin);
}

void posix_class(OnigurumaReader& in, ClassText& set, size_t begin) {
  const size_t close = in.pattern.find(":]", in.pos + 2);
  if (close == std::string_view::npos) in.refuse("\"[:\" without \":]\"", begin);
  std::string_view name = in.pattern.substr(in.pos + 2, close - in.pos - 2);
  in.pos = close + 2;
  const bool negated = name.substr(0, 1) == "^";
  if (negated) name.remove_prefix(1);
  if (name == "space") {
    set.add_spaces(negated);
  } else if (name == "digit") {
    set.add(*find_regex_class("Nd"), negated);
  } else if (name == "word") {
    set.add(*find_regex_class("w"), negated);
  } else {
    in.refuse(fmt::format("[:{}:]", name), begin);
  }
}

void class_item(OnigurumaReader& in, ClassText& set, OnigurumaOptions options, int depth) {
  const size_t begin = in.pos;
  if (in.at("[:")) {
    posix_class(in, set, begin);
    return;
  }
  if (in.accept("[")) {
    ClassText inner;
    const bool negated = bracket(in, inner, options, depth + 1);
    set.add(inner, negated);
    return;
  }
  if (in.at("\\") && in.pos + 1 < in.pattern.size()) {
    ++in.pos;
    if (class_escape(in, set, options, begin)) return;
    --in.pos;
  }
  const char32_t first = class_character(in, begin);
  const bool range = in.at("-") && !in.at("-]") && !in.at("-&&") && !in.at("-[");
  if (!range) {
    add_to_class(in, first, first, set, options, begin);
    return;
  }
  const size_t dash = in.pos++;
  if (in.at("\\")) {  // "a-\s" is three items
    ClassText ignored;
    ++in.pos;
    if (in.at_end()) in.refuse("\"\\\" at its end", dash);
    if (class_escape(in, ignored, options, begin)) in.refuse("a range that ends in a class", dash);
    --in.pos;
  }
  const char32_t last = class_character(in, dash);
  if (last < first) in.refuse("a range that ends before it begins", begin);
  add_to_class(in, first, last, set, options, begin);
}

}  // namespace

bool class_escape(OnigurumaReader& in, ClassText& set, OnigurumaOptions options, size_t begin) {
  const char letter = in.pattern[in.pos];
  const bool upper = letter >= 'A' && letter <= 'Z';
  switch (letter) {
    case 's':
    case 'S':
      set.add_spaces(upper);
      break;
    case 'd':
    case 'D':
      set.add(*find_regex_class("Nd"), upper);
      break;
    case 'w':
    case 'W':
      if (options.ignore_case) in.refuse("\\w without regard to case", begin);
      set.add(*find_regex_class("w"), upper);
      break;
    case 'h':
    case 'H': {
      ClassText digits;
      digits.add_range('0', '9');
      digits.add_range('a', 'f');
      digits.add_range('A', 'F');
      set.add(digits, upper);
      break;
    }
    case 'N': {
      ClassText newline;
      newline.add_range('\n', '\n');
      set.add(newline, true);
      break;
    }
    case 'O':
      set.add_any();
      break;
    case 'p':
    case 'P':
      ++in.pos;
      property(in, set, upper, options, begin);
      return true;
    default:
      return false;
  }
  ++in.pos;
  return true;
}

bool bracket(OnigurumaReader& in, ClassText& set, OnigurumaOptions options, int depth) {
  const size_t begin = in.pos - 1;
  if (depth > kMaxOnigurumaDepth) {
    in.refuse(fmt::format("more than {} nested groups", kMaxOnigurumaDepth), begin);
  }
  const bool negated = in.accept("^");
  std::vector<ClassText> operands(1);
  bool at_start = true;
  while (true) {
    if (in.at_end()) in.refuse("\"[\" without \"]\"", begin);
    if (in.at("]") && !(at_start && in.pattern.find(']', in.pos + 1) != std::string_view::npos))
      break;
    at_start = false;
    if (in.accept("&&")) {
      operands.emplace_back();
      continue;
    }
    class_item(in, operands.back(), options, depth);
  }
  ++in.pos;
  for (const ClassText& operand : operands) {
    if (operand.inside.empty() && operand.others.empty()) in.refuse("an empty set", begin);
  }
  if (operands.size() == 1) {
    set = std::move(operands[0]);
    return negated;
  }
  std::string both = "(?:";
  for (size_t i = 0; i + 1 < operands.size(); ++i) both += "(?=" + operands[i].pattern(false) + ")";
  set.others.push_back(both + operands.back().pattern(false) + ")");
  return negated;
}

}  // namespace prefold
