#include "run/line_texts.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "io/json_line.h"

namespace prefold {
namespace {

// Of id, metadata, beside_body and echoed text; the last one plus 1, 0 if there is none.
using Sizes = std::array<uint32_t, 4>;
// In front of the texts.
struct Head {
  Sizes sizes{};
  uint32_t id_is_integer = 0;
};

// Objects are parsed as lines are, in linear time and as deep; what is no object becomes the only
// member of one, as it was in its line.
std::string to_text(const Json& value) {
  if (value.is_null()) return "";
  return value.is_object() ? "o" + value.dump() : "v" + Json{{"", value}}.dump();
}

Json from_text(std::string_view text) {
  if (text.empty()) return nullptr;
  Json object = parse_json_line(text.substr(1));
  return text[0] == 'o' ? object : std::move(object[""]);
}

}  // namespace

void LineTexts::add_place(int64_t begin) {
  if (distances_.size() % kRequestsPerBase == 0) bases_.push_back(begin);
  const int64_t distance = begin - bases_.back();
  CHECK(distance <= UINT32_MAX);
  distances_.push_back(static_cast<uint32_t>(distance));
}

int64_t LineTexts::place_of(size_t request) const {
  return bases_[request / kRequestsPerBase] + distances_[request];
}

void LineTexts::add_again() { add_place(place_of(distances_.size() - 1)); }

void LineTexts::add(const LineText& text) {
  const std::string metadata = to_text(text.metadata), beside_body = to_text(text.beside_body);
  const std::string echoed = text.echoed_text.value_or("");
  const auto size = [](const std::string& s) { return static_cast<uint32_t>(s.size()); };
  const Head head = {
      {size(text.id), size(metadata), size(beside_body), text.echoed_text ? size(echoed) + 1 : 0},
      text.id_is_integer};
  std::string record(sizeof(Head), '\0');
  std::memcpy(record.data(), &head, sizeof(Head));
  add_place(file_.append(record + text.id + metadata + beside_body + echoed));
}

LineText LineTexts::get(int32_t request) const {
  const int64_t begin = place_of(static_cast<size_t>(request));
  Head head;
  std::memcpy(&head, file_.read(begin, sizeof(Head)).data(), sizeof(Head));
  const Sizes& sizes = head.sizes;
  const size_t n_echoed = sizes[3] > 0 ? sizes[3] - 1 : 0;
  const std::string bytes = file_.read(begin + static_cast<int64_t>(sizeof(Head)),
                                       size_t{sizes[0]} + sizes[1] + sizes[2] + n_echoed);
  std::string_view rest = bytes;
  const auto next = [&](size_t n_bytes) {
    const std::string_view part = rest.substr(0, n_bytes);
    rest.remove_prefix(n_bytes);
    return part;
  };
  LineText text;
  text.id = next(sizes[0]);
  text.id_is_integer = head.id_is_integer != 0;
  text.metadata = from_text(next(sizes[1]));
  text.beside_body = from_text(next(sizes[2]));
  if (sizes[3] > 0) text.echoed_text = next(n_echoed);
  return text;
}

}  // namespace prefold
