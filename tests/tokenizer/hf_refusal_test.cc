#include <doctest/doctest.h>

#include <random>

#include "base/error.h"
#include "tokenizer/hf_fixture.h"

using namespace prefold;
using Json = nlohmann::ordered_json;
using Ids = std::vector<int32_t>;

namespace {

Json small() {
  return Json::parse(R"({
    "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "?": 3}, "merges": ["a b"],
              "unk_token": "?"}})");
}

std::string error_of(const Json& document, const std::string& config = "") {
  try {
    const Tokenizer tokenizer(read_hf_spec(document, 6, config));
  } catch (const FormatError& error) {
    return error.what();
  }
  return "accepted";
}

// The message for small() with the value at pointer.
std::string error_with(const std::string& pointer, const std::string& value) {
  Json document = small();
  document[Json::json_pointer(pointer)] = Json::parse(value);
  return error_of(document);
}

}  // namespace

TEST_CASE("a tokenizer.json is refused with the key, its value and what was wanted") {
  CHECK(error_of(small()) == "accepted");
  CHECK(error_with("/model/type", R"("WordPiece")") ==
        "tokenizer.json: \"model.type\" is \"WordPiece\"; wanted a model that is supported: BPE or "
        "Unigram");
  CHECK(error_with("/model/vocab/b", "0") ==
        "tokenizer.json: \"model.vocab\" gives the id 0 to two tokens");
  CHECK(error_with("/model/vocab/b", "-1") ==
        "tokenizer.json: \"model.vocab.b\" is -1; wanted an id from 0 to 65552");
  CHECK(error_with("/model/vocab/b", "7") ==
        "tokenizer.json: \"model.vocab\" has ids up to 7; the embedding has 6 rows");
  CHECK(error_with("/model/merges/0", R"("a b c")") ==
        "tokenizer.json: \"model.merges[0]\" is \"a b c\"; wanted two tokens with a space between "
        "them");
  CHECK(error_with("/model/merges/0", "3") ==
        "tokenizer.json: \"model.merges[0]\" is 3; wanted two tokens");
  CHECK(error_with("/model/unk_token", R"("c")") ==
        "tokenizer.json: \"model.unk_token\" is \"c\"; wanted a token of the vocabulary");
  CHECK(error_with("/model/dropout", "0.1") ==
        "tokenizer.json: \"model.dropout\" is 0.1; wanted none: tokens must not be left to chance");
  CHECK(error_with("/model/end_of_word_suffix", R"("</w>")") ==
        "tokenizer.json: \"model.end_of_word_suffix\" is \"</w>\"; wanted none: such vocabularies "
        "are not supported");
  CHECK(error_with("/model/new_option", "1") ==
        "tokenizer.json: \"model\" has a \"new_option\", which is not supported");
  CHECK(error_with("/normalizer", R"({"type": "BertNormalizer"})") ==
        "tokenizer.json: \"normalizer.type\" is \"BertNormalizer\"; wanted a normalizer that is "
        "supported: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Replace, Prepend, "
        "Precompiled, ByteLevel or Sequence");
  CHECK(error_with("/pre_tokenizer",
                   R"({"type": "Sequence", "pretokenizers": [{"type": "Split",
                       "pattern": {"Regex": "a"}, "behavior": "Glued"}]})") ==
        "tokenizer.json: \"pre_tokenizer.pretokenizers[0].behavior\" is \"Glued\"; wanted Removed, "
        "Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  CHECK(error_with("/added_tokens/0/id", "6") ==
        "tokenizer.json: \"added_tokens[0].id\" is 6; wanted an integer from 0 to 5");
  CHECK(error_with("/added_tokens/0/id", "1") ==
        "tokenizer.json: \"added_tokens[0].id\" is 1; wanted an id that is not the one of another "
        "token");
  CHECK(error_with("/added_tokens/0/content", R"("ab")") ==
        "tokenizer.json: \"added_tokens[0].id\" is 4; wanted 2, the id of that token elsewhere");
  CHECK(error_with("/post_processor", R"({"type": "TemplateProcessing", "single": [
                     {"SpecialToken": {"id": "<s>", "type_id": 0}}], "special_tokens": {
                     "<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}})") ==
        "tokenizer.json: \"post_processor.single\" does not have the text, {\"Sequence\": {\"id\": "
        "\"A\"}}");
  CHECK(error_with("/decoder", R"({"type": "WordPiece"})") ==
        "tokenizer.json: \"decoder.type\" is \"WordPiece\"; wanted a decoder that is supported: "
        "ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip or Sequence");
  CHECK(error_of(small(), R"({"bos_token": 3})") ==
        "tokenizer_config.json: \"bos_token\" is 3; wanted a string");
  CHECK(error_of(Json(3)) == "tokenizer.json: the document is 3; wanted an object");
}

TEST_CASE("tokenizer_config.json names the special tokens and says which are added") {
  const std::string config =
      R"({"bos_token": {"content": "<s>"}, "eos_token": "ab", "pad_token": "[PAD]",
          "add_bos_token": true, "add_eos_token": true,
          "added_tokens_decoder": {"5": {"content": "<new>", "special": false}}})";
  const TokenizerSpec spec = read_hf_spec(small(), 6, config);
  CHECK(spec.bos_id == 4);
  CHECK(spec.eos_id == 2);
  CHECK_FALSE(spec.pad_id.has_value());
  CHECK(spec.kinds[2] == TokenKind::kControl);
  CHECK(spec.kinds[5] == TokenKind::kUserDefined);
  CHECK(Tokenizer(spec).encode("a<new>", true, true) == Ids{4, 0, 5, 2});
  CHECK(Tokenizer(read_hf_spec(small(), 6)).encode("ab<s>c", true, true) == Ids{2, 4, 3});
}

TEST_CASE("characters at both ends are stripped from the whole text, streamed or not") {
  Json document = small();
  document["decoder"] = Json::parse(R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
    {"type": "Strip", "content": "a", "start": 2, "stop": 1}]})");
  const Tokenizer tokenizer(read_hf_spec(document, 6));
  CHECK(tokenizer.decode({0, 0, 0, 1, 0, 0}, true) == "aba");
  CHECK(tokenizer.decode({0, 1, 0, 1}, true) == "bab");
  CHECK(tokenizer.decode({0, 0}, true) == "");
}

TEST_CASE("a damaged tokenizer.json is refused or works, and its ids are in range") {
  std::mt19937 random(5);
  const Json pipelines = read_hf("pipelines");
  const std::vector<Json> values = {
      nullptr,       true,       -1,           3,     1e300,          "",
      "a",           "Sequence", "(?i)\\p{L}", "[[:", "\xef\xbf\xbd", Json::array(),
      Json::object()};
  size_t n_accepted = 0;
  for (const auto& [name, pipeline] : pipelines.items()) {
    int32_t n_ids = 0;
    const Json original = assemble_hf(pipeline, n_ids);
    std::vector<std::string> keys;  // of every leaf
    const Json flat = original.flatten();
    for (const auto& [key, value] : flat.items()) keys.push_back(key);
    for (int round = 0; round < 12; ++round) {
      Json damaged = original;
      for (size_t n = 1 + random() % 2; n > 0; --n) {
        // The many tokens and merges get their share, and no more.
        const std::string* key = nullptr;
        do key = &keys[random() % keys.size()];
        while ((key->starts_with("/model/vocab") || key->starts_with("/model/merges")) &&
               random() % 200 != 0);
        const Json::json_pointer place(*key);
        if (damaged.contains(place)) damaged[place] = values[random() % values.size()];
      }
      try {
        const Tokenizer tokenizer(read_hf_spec(damaged, n_ids));
        ++n_accepted;
        for (const char* text : {"Hello  <word> world's\n 12", "\xc3\xa9\xe2\x96\x81<s>", ""}) {
          const Ids ids = tokenizer.encode(text, true, true);
          for (const int32_t id : ids) CHECK((id >= 0 && id < tokenizer.vocab_size()));
          tokenizer.decode(ids, true);
        }
      } catch (const FormatError&) {
      }
    }
  }
  CHECK(n_accepted > 20);
}
