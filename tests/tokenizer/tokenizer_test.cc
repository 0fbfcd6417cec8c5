#include "tokenizer/tokenizer.h"

#include <doctest/doctest.h>

#include <limits>
#include <thread>

#include "base/error.h"
#include "tokenizer/tokenizer_fixture.h"

using namespace prefold;
using Ids = std::vector<int32_t>;

namespace {

// A byte-level vocabulary of "a", "b", "ab", "c", "abc" (which no merge makes), and two specials.
TokenizerSpec small_spec() {
  TokenizerSpec spec;
  spec.pre = "gpt-2";
  spec.tokens = {"a", "b", "ab", "c", "abc", "<s>", "</s>", "c<"};
  spec.kinds.assign(spec.tokens.size(), TokenKind::kNormal);
  spec.kinds[5] = spec.kinds[6] = TokenKind::kControl;
  spec.kinds[7] = TokenKind::kUserDefined;
  spec.merges = {{"a", "b"}};
  return spec;
}

// A llama vocabulary in which "ab" and "bc" have the same score.
TokenizerSpec small_llama_spec() {
  TokenizerSpec spec;
  spec.model = TokenizerModel::kSentencePieceBpe;
  spec.tokens = {"<unk>", "a", "b", "c", "ab", "bc", "\xe2\x96\x81", "<0xC3>", "<0xA9>"};
  spec.kinds.assign(spec.tokens.size(), TokenKind::kNormal);
  spec.kinds[0] = TokenKind::kUnknown;
  spec.kinds[7] = spec.kinds[8] = TokenKind::kByte;
  spec.scores = {0, -10, -11, -12, -1, -1, -13, 0, 0};
  spec.unknown_id = 0;
  spec.add_space_prefix = false;
  return spec;
}

std::string error_of(const TokenizerSpec& spec) {
  try {
    const Tokenizer tokenizer(spec);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("BOS and EOS are added only where the model and the caller both want them") {
  TokenizerSpec spec = small_spec();
  CHECK(Tokenizer(spec).encode("ab", true, false) == Ids{2});
  spec.prefix_ids = {5};
  CHECK(Tokenizer(spec).encode("ab", true, false) == Ids{5, 2});
  CHECK(Tokenizer(spec).encode("ab", false, false) == Ids{2});
  spec.suffix_ids = {6};
  CHECK(Tokenizer(spec).encode("", true, false) == Ids{5, 6});
}

TEST_CASE("a whole word in the vocabulary is one token for llama-bpe only") {
  TokenizerSpec spec = small_spec();
  CHECK(Tokenizer(spec).encode("abc", false, false) == Ids{2, 3});
  for (const char* name : {"llama-bpe", "llama3", "llama-v3"}) {
    spec.pre = std::string(name);
    CHECK(Tokenizer(spec).encode("abc", false, false) == Ids{4});
  }
}

TEST_CASE("a byte without a token vanishes and its neighbours merge") {
  CHECK(Tokenizer(small_spec()).encode("axb", false, false) == Ids{2});
  CHECK(Tokenizer(small_spec()).encode("xyz", false, false).empty());
}

TEST_CASE("the leftmost special token wins, and control tokens only where asked for") {
  const Tokenizer tokenizer(small_spec());
  CHECK(tokenizer.encode("a<s>b", false, true) == Ids{0, 5, 1});
  CHECK(tokenizer.encode("a<s>b", false, false) == Ids{0, 1});  // "<s>" has no bytes here
  CHECK(tokenizer.encode("c<s>", false, true) == Ids{7});       // then "s>", which vanishes
  CHECK(tokenizer.encode("c<", false, false) == Ids{7});
}

TEST_CASE("of tokens spelled alike the last counts") {
  TokenizerSpec spec = small_spec();
  spec.tokens.push_back("ab");
  spec.kinds.push_back(TokenKind::kNormal);
  CHECK(Tokenizer(spec).encode("ab", false, false) == Ids{8});
}

TEST_CASE("llama: of equal scores the leftmost pair merges first") {
  const Tokenizer tokenizer(small_llama_spec());
  CHECK(tokenizer.encode("abc", false, false) == Ids{4, 3});
  CHECK(tokenizer.encode("bcab", false, false) == Ids{5, 4});
}

TEST_CASE("llama: a character is bytes if it has them all, else one unknown token with the next") {
  const Tokenizer tokenizer(small_llama_spec());
  CHECK(tokenizer.encode("\xc3\xa9", false, false) == Ids{7, 8});
  CHECK(tokenizer.encode("\xc3\xa8zz a", false, false) == Ids{0, 6, 1});
}

TEST_CASE("llama: a space comes before the text and after each special token") {
  TokenizerSpec spec = small_llama_spec();
  spec.add_space_prefix = true;
  const Tokenizer tokenizer(spec);
  CHECK(tokenizer.encode("a", false, true) == Ids{6, 1});
  CHECK(tokenizer.encode("a<unk>b", false, true) == Ids{6, 1, 0, 6, 1 + 1});
  CHECK(tokenizer.encode("", false, true).empty());
  CHECK(tokenizer.decode({6, 1, 6, 2}, true) == "a b");
  CHECK(tokenizer.decode({0, 6, 1}, false) == "<unk> a");
}

TEST_CASE("pieces are the bytes in running text") {
  const Tokenizer llama(small_llama_spec());
  CHECK(llama.piece(6, false) == " ");
  CHECK(llama.piece(7, false) == "\xc3");
  CHECK(llama.piece(0, true) == "<unk>");
  CHECK(llama.piece(0, false) == "");
  const Tokenizer bpe(read_spec("gpt-2"));
  CHECK(bpe.piece(bpe.encode(" the", false, false).at(0), false).substr(0, 1) == " ");
}

TEST_CASE("text that is not UTF-8 is refused with the place of the first broken byte") {
  const Tokenizer tokenizer(small_spec());
  for (const char* text :
       {"ab\xff", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80", "ab\xe2\x96"}) {
    try {
      tokenizer.encode(text, false, false);
      FAIL("accepted");
    } catch (const RequestError& error) {
      CHECK(error.code() == "invalid_utf8");
      CHECK(contains(error.what(), "at byte 2"));
    }
  }
}

TEST_CASE("an unknown pre-tokenizer is refused with the known ones") {
  TokenizerSpec spec = small_spec();
  spec.pre = std::string("gpt-9");
  CHECK(contains(error_of(spec), "unknown pre-tokenizer \"gpt-9\"; expected one of llama-bpe"));
  CHECK(contains(error_of(spec), "smollm"));
}

TEST_CASE("a vocabulary that contradicts itself is refused with what is wrong") {
  CHECK(contains(error_of(TokenizerSpec{}), "the vocabulary is empty"));
  TokenizerSpec spec = small_spec();
  spec.kinds.pop_back();
  CHECK(contains(error_of(spec), "7 token types for 8 tokens"));
  spec = small_spec();
  spec.eos_id = 8;
  CHECK(contains(error_of(spec), "EOS token id is 8; expected an id from 0 to 7"));
  spec = small_spec();
  spec.pad_id = -1;
  CHECK(contains(error_of(spec), "padding token id is -1"));
  spec = small_spec();
  spec.prefix_ids = {8};
  CHECK(contains(error_of(spec), "a prefix token id is 8"));
  spec = small_spec();
  spec.tokens[3] = std::string("\xff");
  CHECK(contains(error_of(spec), "token 3 is not valid UTF-8"));
  spec = small_spec();
  spec.tokens[3] = std::string(5000, 'x');
  CHECK(contains(error_of(spec), "token 3 has 5000 bytes"));
}

TEST_CASE("special tokens of unreasonable size in all are refused") {
  TokenizerSpec spec = small_spec();
  for (int i = 0; i < 9000; ++i) {
    spec.tokens.push_back(std::to_string(i) + std::string(1000, 'x'));
    spec.kinds.push_back(TokenKind::kUserDefined);
  }
  CHECK(contains(error_of(spec), "more than 8388608 bytes"));
}

TEST_CASE("merges of unknown tokens are refused") {
  TokenizerSpec spec = small_spec();
  for (const auto& [left, right] : {std::pair("", ""), {"a", ""}, {"", "a"}, {"a", " b"}}) {
    spec.merges = {{left, right}};
    CHECK(contains(error_of(spec), "merge 0"));
  }
  spec.merges = {{"a", "b"}, {"a", "z"}};
  CHECK(contains(error_of(spec), "merge 1 is \"a z\", but \"z\" is not in the vocabulary"));
  spec.merges = {{"b", "a"}};
  CHECK(contains(error_of(spec), "\"ba\" is not in the vocabulary"));
}

TEST_CASE("llama: scores and byte names are checked") {
  TokenizerSpec spec = small_llama_spec();
  spec.scores.pop_back();
  CHECK(contains(error_of(spec), "8 scores for 9 tokens"));
  spec = small_llama_spec();
  spec.scores[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(error_of(spec), "the score of token 2"));
  for (const char* name : {"<0xC>", "<0xCG>", "<0x 3>", "<0x-3>", "C3", ""}) {
    spec = small_llama_spec();
    spec.tokens[7] = std::string(name);
    CHECK(contains(error_of(spec), "byte token 7"));
  }
}

TEST_CASE("empty tokens are never matched") {
  TokenizerSpec spec = small_spec();
  spec.tokens[5].clear();
  CHECK(Tokenizer(spec).encode("ab", false, true) == Ids{2});
  CHECK(Tokenizer(spec).decode({2, 5}, false) == "ab");
}

TEST_CASE("a thread may change tokenizers between texts, and threads may share one") {
  const std::vector<std::string> corpus = read_corpus();
  std::vector<Tokenizer> tokenizers;
  std::vector<std::vector<Ids>> expected(kFamilies.size());
  for (size_t f = 0; f < kFamilies.size(); ++f) {
    tokenizers.emplace_back(read_spec(kFamilies[f]));
    for (const std::string& text : corpus) {
      expected[f].push_back(tokenizers[f].encode(text, false, true));
    }
  }
  std::vector<size_t> n_wrong(3, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < n_wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 3 * corpus.size(); ++i) {
        const size_t f = i / 7 % tokenizers.size();
        const size_t text = (i + t * 31) % corpus.size();
        n_wrong[t] += tokenizers[f].encode(corpus[text], false, true) != expected[f][text];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(n_wrong == std::vector<size_t>{0, 0, 0});
}
