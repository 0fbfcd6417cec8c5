#include "run/text_builder.h"

#include <doctest/doctest.h>

#include <numeric>

using namespace prefold;

namespace {

constexpr int32_t kEos = 0;

// Tokens 1.. are the given strings, 0 ends the answer.
Tokenizer toy_tokenizer(const std::vector<std::string>& words) {
  TokenizerSpec spec;
  spec.model = TokenizerModel::kBpe;
  spec.pre = "gpt-2";
  spec.tokens = {"<eos>"};
  spec.kinds = {TokenKind::kControl};
  for (const std::string& word : words) {
    spec.tokens.push_back(word);
    spec.kinds.push_back(TokenKind::kNormal);
  }
  spec.eos_id = kEos;
  return Tokenizer(spec);
}

// Pushes tokens until the answer ends; returns how many it took.
int32_t push_all(TextBuilder& builder, const std::vector<int32_t>& ids) {
  int32_t n = 0;
  for (int32_t id : ids) {
    ++n;
    if (builder.push({id, 0.0f, {}})) break;
  }
  return n;
}

const std::vector<int32_t> kStopIds{kEos};

}  // namespace

TEST_CASE("an answer without a stop ends with the reason length") {
  const Tokenizer tokenizer = toy_tokenizer({"ab", "cd"});
  const SamplingParams params;
  TextBuilder builder(tokenizer, params, kStopIds);
  CHECK(push_all(builder, {1, 2, 1}) == 3);
  const Choice choice = builder.finish();
  CHECK(choice.text == "abcdab");
  CHECK(choice.finish_reason == FinishReason::kLength);
  CHECK(choice.token_ids.empty());  // not asked for
}

TEST_CASE("a stop token ends the answer, counts, and is not part of its text") {
  const Tokenizer tokenizer = toy_tokenizer({"ab"});
  SamplingParams params;
  params.return_token_ids = true;
  TextBuilder builder(tokenizer, params, kStopIds);
  CHECK(push_all(builder, {1, kEos, 1}) == 2);
  CHECK(builder.n_tokens() == 2);
  const Choice choice = builder.finish();
  CHECK(choice.text == "ab");
  CHECK(choice.finish_reason == FinishReason::kStop);
  CHECK(choice.token_ids == std::vector<int32_t>{1, kEos});
}

TEST_CASE("a stop string is found across token borders, and the text is cut before it") {
  const Tokenizer tokenizer = toy_tokenizer({"x", "S", "TO", "Py", "z"});
  SamplingParams params;
  params.stop = {"STOP"};
  TextBuilder builder(tokenizer, params, kStopIds);
  CHECK(push_all(builder, {1, 2, 3, 4, 5}) == 4);
  const Choice choice = builder.finish();
  CHECK(choice.text == "x");
  CHECK(choice.finish_reason == FinishReason::kStop);
}

TEST_CASE("include_stop_str_in_output keeps the stop string and nothing behind it") {
  const Tokenizer tokenizer = toy_tokenizer({"x", "STO", "Py"});
  SamplingParams params;
  params.stop = {"STOP"};
  params.include_stop_str_in_output = true;
  TextBuilder builder(tokenizer, params, kStopIds);
  push_all(builder, {1, 2, 3});
  CHECK(builder.finish().text == "xSTOP");
}

TEST_CASE("of several stop strings the one that is complete first counts, however tokens are cut") {
  const auto text_with = [](const std::vector<std::string>& pieces,
                            const std::vector<std::string>& stop, bool include = false) {
    const Tokenizer tokenizer = toy_tokenizer(pieces);
    SamplingParams params;
    params.stop = stop;
    params.include_stop_str_in_output = include;
    TextBuilder builder(tokenizer, params, kStopIds);
    std::vector<int32_t> ids(pieces.size());
    std::iota(ids.begin(), ids.end(), 1);
    push_all(builder, ids);
    return builder.finish().text;
  };
  const std::vector<std::vector<std::string>> cuts = {
      {"a-b-c"}, {"a", "-b", "-", "c"}, {"a-b", "-c"}, {"a-", "b-c"}};
  for (const std::vector<std::string>& pieces : cuts) {
    CHECK(text_with(pieces, {"c", "b-", "-c"}) == "a-");
    CHECK(text_with(pieces, {"a-b-c", "-b"}) == "a");  // begins later, is complete earlier
    CHECK(text_with(pieces, {"a-b-c", "-b"}, true) == "a-b");
    CHECK(text_with(pieces, {"b-", "-b-"}) == "a-");  // complete together: the first given
    CHECK(text_with(pieces, {"-b-", "b-"}) == "a");
  }
}

TEST_CASE("stop strings count only when completed after min_tokens tokens") {
  const Tokenizer tokenizer = toy_tokenizer({"a", "STOP", "ST", "OP"});
  SamplingParams params;
  params.stop = {"STOP"};
  params.min_tokens = 3;
  TextBuilder builder(tokenizer, params, kStopIds);
  CHECK(push_all(builder, {1, 2, 1, 2, 1}) == 4);
  CHECK(builder.finish().text == "aSTOPa");
  params.min_tokens = 2;  // completed by the second token: too early
  TextBuilder early(tokenizer, params, kStopIds);
  CHECK(push_all(early, {1, 2, 1, 1}) == 4);
  CHECK(early.finish().text == "aSTOPaa");
  TextBuilder across(tokenizer, params, kStopIds);  // begun before, completed by the third
  CHECK(push_all(across, {1, 3, 4, 1}) == 3);
  CHECK(across.finish().text == "a");
}

TEST_CASE("a stop string whose character is split over tokens is found when that is whole") {
  // The byte-level alphabet spells e2 82 ac (the euro sign) as three characters.
  const Tokenizer tokenizer = toy_tokenizer({"x\u00e2", "\u0124", "\u00ac!", "a"});
  SamplingParams params;
  params.stop = {"\u20ac"};
  params.logprobs = 0;
  params.return_token_ids = true;
  TextBuilder builder(tokenizer, params, kStopIds);
  CHECK(push_all(builder, {4, 1, 2, 3, 4}) == 4);
  const Choice choice = builder.finish();
  CHECK(choice.text == "ax");
  CHECK(choice.finish_reason == FinishReason::kStop);
  // Ids and log-probabilities are those of all tokens that were sampled, also behind the cut.
  CHECK(choice.token_ids == std::vector<int32_t>{4, 1, 2, 3});
  CHECK(choice.logprobs.size() == 4);
  params.include_stop_str_in_output = true;
  TextBuilder included(tokenizer, params, kStopIds);
  push_all(included, {4, 1, 2, 3, 4});
  CHECK(included.finish().text == "ax\u20ac");
}

TEST_CASE("a character split over tokens appears whole, and a broken one as U+FFFD") {
  // The byte-level alphabet spells e2 82 ac (the euro sign) as three characters.
  const Tokenizer tokenizer = toy_tokenizer({"\u00e2", "\u0124", "\u00ac", "a"});
  const SamplingParams params;
  TextBuilder whole(tokenizer, params, kStopIds);
  push_all(whole, {1, 2, 3, 4});
  CHECK(whole.finish().text == "\u20aca");
  TextBuilder broken(tokenizer, params, kStopIds);
  push_all(broken, {4, 1, 2});
  CHECK(broken.finish().text == "a\ufffd");
}

TEST_CASE("log-probabilities name tokens and are cut to as many alternatives as asked for") {
  const Tokenizer tokenizer = toy_tokenizer({"a", "b", "c"});
  SamplingParams params;
  params.logprobs = 1;
  TextBuilder builder(tokenizer, params, kStopIds);
  builder.push({2, -0.5f, {{2, -0.5f}, {3, -1.0f}}});
  const Choice choice = builder.finish();
  REQUIRE(choice.logprobs.size() == 1);
  CHECK(choice.logprobs[0].token == "b");
  REQUIRE(choice.logprobs[0].top.size() == 1);
  CHECK(choice.logprobs[0].top[0].token == "b");
}
