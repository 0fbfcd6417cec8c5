#include "tokenizer/tokenizer.h"

#include <atomic>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/byte_level_bpe.h"
#include "tokenizer/encode_scratch.h"
#include "tokenizer/sentencepiece_bpe.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"

namespace prefold {
namespace {

using Model = std::variant<ByteLevelBpe, SentencePieceBpe>;

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // keeps positions within 32 bits

Model make_model(const Vocabulary& vocabulary) {
  if (vocabulary.spec().model == TokenizerModel::kSentencePiece) {
    return Model(std::in_place_type<SentencePieceBpe>, vocabulary);
  }
  return Model(std::in_place_type<ByteLevelBpe>, vocabulary);
}

// Names a tokenizer in the caches of all threads; an address could be used again.
uint64_t next_instance_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

void check_text(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    throw RequestError("prompt_too_long", fmt::format("the text has {} bytes; expected at most {}",
                                                      text.size(), kMaxTextBytes));
  }
  const size_t bad = find_invalid_utf8(text);
  if (bad != std::string_view::npos) {
    throw RequestError("invalid_utf8", fmt::format("the text is not valid UTF-8 at byte {}", bad));
  }
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec spec) : vocabulary(std::move(spec)), model(make_model(vocabulary)) {}

  const Vocabulary vocabulary;
  const Model model;
  const uint64_t instance_id = next_instance_id();
};

Tokenizer::Tokenizer(TokenizerSpec spec) : impl_(std::make_unique<Impl>(std::move(spec))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special,
                                       bool parse_special) const {
  check_text(text);
  thread_local EncodeScratch scratch;
  scratch.cache.set_owner(impl_->instance_id);

  const TokenizerSpec& spec = impl_->vocabulary.spec();
  const SpecialTokens& special_tokens = impl_->vocabulary.special_tokens();
  std::vector<int32_t> ids;
  const auto encode_plain = [&](size_t begin, size_t end) {
    if (begin == end) return;
    std::visit(
        [&](const auto& model) { model.encode(text.substr(begin, end - begin), scratch, ids); },
        impl_->model);
  };
  if (add_special && spec.add_bos) ids.push_back(*spec.bos_id);
  size_t pos = 0;
  SpecialTokens::Match match;
  while (special_tokens.find(text, pos, parse_special, match)) {
    encode_plain(pos, match.begin);
    ids.push_back(match.id);
    pos = match.end;
  }
  encode_plain(pos, text.size());
  if (add_special && spec.add_eos) ids.push_back(*spec.eos_id);
  scratch.trim();
  return ids;
}

std::string_view Tokenizer::piece(int32_t id, bool special) const {
  CHECK(id >= 0 && id < vocab_size());
  if (!special && impl_->vocabulary.is_special(id)) return {};
  return impl_->vocabulary.bytes(id);
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text += decoder.finish();
}

int32_t Tokenizer::vocab_size() const { return impl_->vocabulary.size(); }

TokenKind Tokenizer::kind(int32_t id) const {
  CHECK(id >= 0 && id < vocab_size());
  return impl_->vocabulary.kind(id);
}

const TokenizerSpec& Tokenizer::spec() const { return impl_->vocabulary.spec(); }

}  // namespace prefold
