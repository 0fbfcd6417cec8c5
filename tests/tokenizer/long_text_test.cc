// Texts on which a careless pattern or merge takes quadratic time, runs out of stack or hits a
// limit of the pattern library.
#include <doctest/doctest.h>

#include "tokenizer/tokenizer_fixture.h"

using namespace prefold;

namespace {

constexpr size_t kBytes = 1 << 18;

std::string repeat(const std::string& unit) {
  std::string text;
  while (text.size() < kBytes) text += unit;
  return text;
}

}  // namespace

TEST_CASE("a quarter of a megabyte of one thing comes back whole") {
  for (const char* family : {"gpt-2", "llama-bpe", "qwen2", "llama"}) {
    const Tokenizer tokenizer(read_spec(family));
    for (const char* unit : {"a", " ", "\n", " \n", "\t", "!", "7", "\xc3\xa9", "'s", "<|im_", " a",
                             "\xe5\x93\x88", "\xf0\x9f\x91\x8d", "a\xcc\x81"}) {
      CAPTURE(family);
      CAPTURE(unit);
      const std::string text = repeat(unit);
      const std::vector<int32_t> ids = tokenizer.encode(text, false, true);
      CHECK((tokenizer.decode(ids, false) == text));
    }
  }
}

TEST_CASE("more spaces than the pattern library's default step limit are split without error") {
  TokenizerSpec spec = read_spec("llama-bpe");
  spec.tokens = {"a"};  // spaces vanish, so that only the splitting takes time
  spec.kinds = {TokenKind::kNormal};
  spec.merges.clear();
  const Tokenizer tokenizer(spec);
  std::string text(11'000'000, ' ');  // "\s*[\r\n]+" steps back over all of them
  text.push_back('a');
  CHECK(tokenizer.encode(text, false, false) == std::vector<int32_t>{0});
}
