#include "run/line_texts.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

void check_same(const LineText& a, const LineText& b) {
  CHECK(a.id == b.id);
  CHECK(a.id_is_integer == b.id_is_integer);
  CHECK(a.metadata.dump() == b.metadata.dump());
  CHECK(a.metadata.is_null() == b.metadata.is_null());
  CHECK(a.beside_body.dump() == b.beside_body.dump());
  CHECK(a.echoed_text == b.echoed_text);
}

std::vector<LineText> some_texts() {
  Json deep = 1;
  for (int i = 0; i < 126; ++i) deep = Json::array({deep});
  return {
      {"a", false, nullptr, nullptr, {}},
      {std::string(512, 'i'), false, Json{{"k", 1}, {"a", {1.5, -0.0, 18446744073709551615u}}},
       nullptr, ""},
      {"\xf0\x9f\x98\x80\n", true, "text", Json::array({nullptr, true}), "a prompt"},
      {"", false, Json::object(), 0.1, std::string(300'000, 'p')},
      {"deep", true, deep, Json{{"d", deep}}, {}},
  };
}

TEST_CASE("what is kept of a line comes back, from memory and from the file") {
  LineTexts texts;
  std::vector<LineText> kept;
  for (int i = 0; i < 3000; ++i) {
    for (const LineText& text : some_texts()) {
      if (i > 3 && text.echoed_text.value_or("").size() > 1000) continue;
      texts.add(text);
      kept.push_back(text);
      if (i % 5 > 0) continue;
      texts.add_again();
      kept.push_back(text);
    }
  }
  for (size_t i = 0; i < kept.size(); i += i < 100 || i + 100 > kept.size() ? 1 : 97) {
    CAPTURE(i);
    check_same(texts.get(static_cast<int32_t>(i)), kept[i]);
  }
}

TEST_CASE("texts stay readable when they are moved") {
  LineTexts first;
  first.add({"id", false, Json{{"k", "v"}}, nullptr, {}});
  const LineTexts second = std::move(first);
  CHECK(second.get(0).metadata.dump() == R"({"k":"v"})");
}

}  // namespace
}  // namespace prefold
