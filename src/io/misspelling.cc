#include "io/misspelling.h"

#include <algorithm>
#include <array>
#include <string>

namespace prefold {
namespace {

constexpr size_t kLongestName = 40;
constexpr size_t kShortName = 5;
constexpr size_t kLongName = 10;

// In lower case and without separators.
std::string letters_of(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c == '_' || c == '-' || c == '.' || c == ' ') continue;
    letters += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return letters;
}

// Insertions, deletions, replacements and swaps of neighbours, each part of the name changed once
// at most (optimal string alignment). Both have at most kLongestName bytes.
size_t edit_distance(std::string_view a, std::string_view b) {
  using Row = std::array<size_t, kLongestName + 1>;
  Row rows[3] = {};
  for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    Row& row = rows[i % 3];
    const Row& above = rows[(i + 2) % 3];
    const Row& two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], two_above[j - 2] + 1);
    }
  }
  return rows[a.size() % 3][b.size()];
}

// `longer` is `shorter` with one letter doubled, or with an s at its end.
bool is_lengthened(std::string_view shorter, std::string_view longer) {
  if (longer.size() != shorter.size() + 1) return false;
  if (longer.starts_with(shorter)) return longer.back() == 's' || longer.back() == shorter.back();
  const auto differ = std::mismatch(shorter.begin(), shorter.end(), longer.begin());
  const auto at = static_cast<size_t>(differ.first - shorter.begin());
  return at > 0 && longer[at] == longer[at - 1] && longer.substr(at + 1) == shorter.substr(at);
}

bool is_slip_of_short_name(std::string_view name, std::string_view known) {
  if (name.size() == known.size()) {
    return edit_distance(name, known) == 1 &&
           std::is_permutation(name.begin(), name.end(), known.begin());
  }
  return is_lengthened(known, name) || (known.ends_with('s') && is_lengthened(name, known));
}

// Slips from `known` to `name`, both as letters; kLongestName if they are too many.
size_t slips(std::string_view name, std::string_view known) {
  if (name == known) return 0;
  if (known.size() < 4) return kLongestName;
  if (known.size() <= kShortName) return is_slip_of_short_name(name, known) ? 1 : kLongestName;
  const size_t allowed = known.size() < kLongName ? 1 : 2;
  const size_t longer = std::max(name.size(), known.size());
  if (longer - std::min(name.size(), known.size()) > allowed) return kLongestName;
  const size_t distance = edit_distance(name, known);
  return distance <= allowed ? distance : kLongestName;
}

}  // namespace

std::string_view misspelt_name(std::string_view name, std::span<const std::string_view> known) {
  if (name.size() > kLongestName) return "";
  const std::string letters = letters_of(name);
  std::string_view closest;
  size_t fewest = kLongestName;
  for (const std::string_view candidate : known) {
    const size_t n = slips(letters, letters_of(candidate));
    if (n < fewest) {
      closest = candidate;
      fewest = n;
    }
  }
  return closest;
}

}  // namespace prefold
