#include "tokenizer/oniguruma_class.h"

#include "base/error.h"

namespace prefold {
namespace {

// White_Space, which PCRE2's \s is not in every version.
constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kAny = R"(\x{0}-\x{10ffff})";

void add_text(std::string text, bool negated, ClassText& set) {
  if (negated) {
    set.others.push_back("[^" + text + "]");
  } else {
    set.inside += text;
  }
}

}  // namespace

std::string escape_for_pcre2(char32_t c) {
  const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (plain) return std::string(1, static_cast<char>(c));
  return fmt::format("\\x{{{:x}}}", static_cast<uint32_t>(c));
}

void ClassText::add_range(char32_t first, char32_t last) {
  inside += escape_for_pcre2(first);
  if (last != first) inside.append("-").append(escape_for_pcre2(last));
}

void ClassText::add(const RegexClass& known, bool negated) {
  ClassText set;
  set.inside = known.pcre2;
  for (const CharRange& range : known.ranges) set.add_range(range.first, range.last);
  add_text(std::move(set.inside), negated, *this);
}

void ClassText::add_spaces(bool negated) { add_text(std::string(kSpaces), negated, *this); }

void ClassText::add_any() { inside += kAny; }

std::string ClassText::pattern(bool negated) const {
  if (others.empty()) return (negated ? "[^" : "[") + inside + "]";
  if (!negated && inside.empty() && others.size() == 1) return others[0];
  std::string any_of;
  if (!inside.empty()) any_of = "[" + inside + "]";
  for (const std::string& other : others) any_of.append(any_of.empty() ? "" : "|").append(other);
  if (!negated) return "(?:" + any_of + ")";
  return "(?:(?!" + any_of + ")[" + std::string(kAny) + "])";
}

}  // namespace prefold
