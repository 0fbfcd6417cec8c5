#include <doctest/doctest.h>

#include <limits>
#include <random>

#include "base/error.h"
#include "tokenizer/tokenizer_fixture.h"

using namespace prefold;

namespace {

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  size_t below(size_t n) { return random_() % n; }

  std::string token() {
    static const std::array<std::string, 16> kParts = {
        "a", "b", "<",    ">", " ",   "\xe2\x96\x81",     "\xc4\xa0", "\xc3\xa9",
        "1", "x", "0x41", "",  "aba", "\xf0\x9f\x91\x8d", "\xff",     std::string(1, '\0')};
    std::string made;
    for (size_t i = below(4); i > 0; --i) made += kParts[below(kParts.size())];
    return made;
  }

  void mutate(TokenizerSpec& spec) {
    const size_t at = below(spec.tokens.size());
    const int32_t any_id = static_cast<int32_t>(below(spec.tokens.size() + 2)) - 1;
    switch (below(9)) {
      case 0:
        spec.tokens[at] = token();
        break;
      case 1:
        spec.kinds[at] = static_cast<TokenKind>(below(6));
        break;
      case 2:
        if (!spec.merges.empty()) spec.merges[below(spec.merges.size())] = {token(), token()};
        break;
      case 3:
        spec.merges.emplace_back(spec.tokens[at], spec.tokens[below(spec.tokens.size())]);
        break;
      case 4:
        if (!spec.scores.empty()) spec.scores[at] = std::numeric_limits<double>::infinity();
        break;
      case 5:
        spec.unknown_id = any_id;
        break;
      case 6:
        spec.prefix_ids = {any_id};
        break;
      case 7:
        spec.tokens[at] = spec.tokens[below(spec.tokens.size())];
        break;
      case 8:
        spec.add_space_prefix = below(2) == 0;
        break;
    }
  }

 private:
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("a damaged vocabulary is refused or works, and its ids are in range") {
  const std::vector<std::string> corpus = read_corpus();
  Mutator mutator(11);
  size_t n_accepted = 0;
  for (const char* family : kFamilies) {
    TokenizerSpec original = read_spec(family);
    for (int round = 0; round < 30; ++round) {
      TokenizerSpec spec = original;
      for (size_t i = 1 + mutator.below(3); i > 0; --i) mutator.mutate(spec);
      try {
        const Tokenizer tokenizer(spec);
        ++n_accepted;
        for (int i = 0; i < 10; ++i) {
          const std::string& text = corpus[mutator.below(corpus.size())];
          const std::vector<int32_t> ids = tokenizer.encode(text, true, mutator.below(2) == 0);
          for (const int32_t id : ids) CHECK((id >= 0 && id < tokenizer.vocab_size()));
          tokenizer.decode(ids, mutator.below(2) == 0);
        }
      } catch (const FormatError&) {
      }
    }
  }
  CHECK(n_accepted > 30);
}
