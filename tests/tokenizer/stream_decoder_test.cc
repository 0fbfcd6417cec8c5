#include <doctest/doctest.h>

#include <random>

#include "tokenizer/tokenizer_fixture.h"
#include "tokenizer/utf8.h"

using namespace prefold;
using Ids = std::vector<int32_t>;

namespace {

// The stream's text; every part of it must be whole characters.
std::string stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = decoder.push(id);
    CHECK(find_invalid_utf8(part) == std::string_view::npos);
    text += part;
  }
  const std::string rest = decoder.finish();
  CHECK(find_invalid_utf8(rest) == std::string_view::npos);
  return text + rest;
}

int32_t byte_token(const Tokenizer& tokenizer, char byte) {
  int32_t id = 0;
  while (tokenizer.piece(id, false) != std::string_view(&byte, 1)) ++id;
  return id;
}

}  // namespace

TEST_CASE("streamed text equals Hugging Face's decoding of all ids") {
  for (const char* family : kFamilies) {
    CAPTURE(family);
    const nlohmann::json fixture = read_fixture(family);
    const Tokenizer tokenizer(spec_from_json(fixture.at("spec")));
    for (const nlohmann::json& one : fixture.at("decode")) {
      const Ids ids = one.at("ids");
      CAPTURE(ids);
      CHECK(stream(tokenizer, ids, true) == one.at("text").get<std::string>());
      CHECK(stream(tokenizer, ids, false) == one.at("text_with_special").get<std::string>());
    }
  }
}

TEST_CASE("streamed text is that of the ids for random ids") {
  std::mt19937 random(7);
  for (const char* family : kFamilies) {
    const Tokenizer tokenizer(read_spec(family));
    for (int round = 0; round < 200; ++round) {
      Ids ids(random() % 20);
      for (int32_t& id : ids) id = static_cast<int32_t>(random() % tokenizer.vocab_size());
      const bool skip_special = random() % 2 == 0;
      CHECK(stream(tokenizer, ids, skip_special) == tokenizer.decode(ids, skip_special));
    }
  }
}

TEST_CASE("a character of several tokens appears with its last token") {
  const Tokenizer tokenizer(read_spec("gpt-2"));
  StreamDecoder decoder(tokenizer, true);
  CHECK(decoder.push(byte_token(tokenizer, '\xf0')) == "");
  CHECK(decoder.push(byte_token(tokenizer, '\x9f')) == "");
  CHECK(decoder.push(byte_token(tokenizer, '\x91')) == "");
  CHECK(decoder.push(byte_token(tokenizer, '\x8d')) == "\xf0\x9f\x91\x8d");
  CHECK(decoder.finish() == "");
}

TEST_CASE("a character that is never finished becomes one U+FFFD") {
  const Tokenizer tokenizer(read_spec("gpt-2"));
  StreamDecoder decoder(tokenizer, true);
  CHECK(decoder.push(byte_token(tokenizer, '\xf0')) == "");
  CHECK(decoder.push(byte_token(tokenizer, '\x9f')) == "");
  CHECK(decoder.finish() == kReplacementCharacter);
  CHECK(decoder.push(byte_token(tokenizer, '\xf0')) == "");
  CHECK(decoder.push(byte_token(tokenizer, 'a')) == std::string(kReplacementCharacter) + "a");
}
