#include <doctest/doctest.h>

#include "tokenizer/hf_fixture.h"
#include "tokenizer/utf8.h"

using namespace prefold;
using Ids = std::vector<int32_t>;

namespace {

uint16_t hash_of_ids(const Tokenizer& tokenizer, const std::string& text) {
  HfHash hash;
  for (const bool plain : {false, true}) {
    for (const int32_t id : tokenizer.encode(text, !plain, !plain)) hash.add(id);
    hash.add(-1);
  }
  return hash.folded();
}

std::string stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = decoder.push(id);
    CHECK(find_invalid_utf8(part) == std::string_view::npos);
    text += part;
  }
  return text + decoder.finish();
}

uint16_t hash_of_texts(const Tokenizer& tokenizer, const Ids& ids) {
  HfHash hash;
  for (const bool skip_special : {true, false}) {
    const std::string text = tokenizer.decode(ids, skip_special);
    CHECK(stream(tokenizer, ids, skip_special) == text);
    hash.add(text + "\xff");
  }
  return hash.folded();
}

}  // namespace

TEST_CASE("ids and texts equal those of Hugging Face tokenizers for every pipeline") {
  const HfPools pools = read_hf("pools").get<HfPools>();
  const nlohmann::ordered_json pipelines = read_hf("pipelines");
  REQUIRE(pipelines.size() > 30);
  for (const auto& [name, pipeline] : pipelines.items()) {
    CAPTURE(name);
    int32_t n_ids = 0;
    const nlohmann::ordered_json document = assemble_hf(pipeline, n_ids);
    const Tokenizer tokenizer(read_hf_spec(document, n_ids));
    const std::vector<uint16_t> answers = read_hf_answers(name);
    REQUIRE(answers.size() == kHfTexts + kHfDecoded);
    HfRandom random(0x9e3779b97f4a7c15u);
    for (size_t i = 0; i < kHfTexts; ++i) {
      const std::string text = make_hf_text(pools, random);
      CAPTURE(text);
      CHECK(hash_of_ids(tokenizer, text) == answers[i]);
    }
    for (size_t i = 0; i < kHfDecoded; ++i) {
      Ids ids(1 + random.next() % 12);
      for (int32_t& id : ids) id = static_cast<int32_t>(random.next() % n_ids);
      CAPTURE(ids);
      CHECK(hash_of_texts(tokenizer, ids) == answers[kHfTexts + i]);
    }
  }
}
