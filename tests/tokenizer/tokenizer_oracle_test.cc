#include <doctest/doctest.h>

#include "tokenizer/tokenizer_fixture.h"

using namespace prefold;
using Ids = std::vector<int32_t>;

TEST_CASE("ids equal those of Hugging Face tokenizers, with and without control tokens") {
  const std::vector<std::string> corpus = read_corpus();
  for (const char* family : kFamilies) {
    CAPTURE(family);
    const nlohmann::json fixture = read_fixture(family);
    const Tokenizer tokenizer(spec_from_json(fixture.at("spec")));
    const nlohmann::json& without_control = fixture.at("ids_without_control");
    REQUIRE(fixture.at("ids").size() == corpus.size());
    for (size_t i = 0; i < corpus.size(); ++i) {
      CAPTURE(corpus[i]);
      const Ids parsed = fixture.at("ids")[i];
      const auto differing = without_control.find(std::to_string(i));
      const Ids plain = differing == without_control.end() ? parsed : differing->get<Ids>();
      CHECK(tokenizer.encode(corpus[i], false, true) == parsed);
      CHECK(tokenizer.encode(corpus[i], false, false) == plain);
    }
  }
}

TEST_CASE("decoded text equals that of Hugging Face tokenizers, broken characters included") {
  for (const char* family : kFamilies) {
    CAPTURE(family);
    const nlohmann::json fixture = read_fixture(family);
    const Tokenizer tokenizer(spec_from_json(fixture.at("spec")));
    for (const nlohmann::json& one : fixture.at("decode")) {
      const Ids ids = one.at("ids");
      CAPTURE(ids);
      CHECK(tokenizer.decode(ids, true) == one.at("text").get<std::string>());
      CHECK(tokenizer.decode(ids, false) == one.at("text_with_special").get<std::string>());
    }
  }
}

TEST_CASE("text comes back from its ids where the vocabulary has all bytes") {
  for (const char* family : {"gpt-2", "llama-bpe", "qwen2"}) {
    CAPTURE(family);
    const Tokenizer tokenizer(read_spec(family));
    for (const std::string& text : read_corpus()) {
      CHECK(tokenizer.decode(tokenizer.encode(text, false, true), false) == text);
    }
  }
}
