#include "tokenizer/tokenizer.h"

#include <atomic>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/tokenizer_impl.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // keeps positions within 32 bits

std::variant<Bpe, Unigram> make_model(const Vocabulary& vocabulary, bool words_are_bytes) {
  if (vocabulary.spec().model == TokenizerModel::kUnigram) {
    return std::variant<Bpe, Unigram>(std::in_place_type<Unigram>, vocabulary);
  }
  return std::variant<Bpe, Unigram>(std::in_place_type<Bpe>, vocabulary, words_are_bytes);
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

Tokenizer::Impl::Impl(TokenizerSpec spec)
    : vocabulary(std::move(spec)),
      pre_tokenizer(vocabulary.spec().steps.pre_tokenizer),
      model(make_model(vocabulary, pre_tokenizer.gives_bytes())),
      instance_id(next_instance_id()) {
  std::string spare;
  // Of equal spellings, special tokens count before others.
  for (const bool special : {true, false}) {
    for (const AddedToken& token : vocabulary.spec().added_tokens) {
      if (token.special != special || token.content.empty()) continue;
      if (!token.normalized) {
        added.add(token, token.content);
        continue;
      }
      std::string spelling = token.content;
      vocabulary.normalizer().apply(spelling, spare);
      if (spelling.empty()) {
        throw FormatError(
            fmt::format("tokenizer: added token {} is nothing when normalised", token.id));
      }
      added_normalized.add(token, spelling);
    }
  }
}

void Tokenizer::Impl::encode_plain(std::string_view text, bool at_start, bool parse_special,
                                   EncodeScratch& scratch, std::vector<int32_t>& ids) const {
  if (!vocabulary.normalizer().empty()) {
    scratch.normalized.assign(text);
    at_start = vocabulary.normalizer().apply(scratch.normalized, scratch.spare) && at_start;
    text = scratch.normalized;
  }
  const auto encode_words = [&](size_t begin, size_t end) {
    pre_tokenizer.for_each_word(
        text.substr(begin, end - begin), at_start && begin == 0, scratch.pre_tokenizing,
        [&](std::string_view word) {
          std::visit([&](const auto& one) { one.encode(word, scratch, ids); }, model);
        });
  };
  if (added_normalized.empty()) {
    encode_words(0, text.size());
    return;
  }
  added_normalized.split(
      text, parse_special, [&](int32_t id) { ids.push_back(id); }, encode_words);
}

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
  std::vector<int32_t> ids;
  if (add_special) ids = spec.prefix_ids;
  impl_->added.split(
      text, parse_special, [&](int32_t id) { ids.push_back(id); },
      [&](size_t begin, size_t end) {
        impl_->encode_plain(text.substr(begin, end - begin), begin == 0, parse_special, scratch,
                            ids);
      });
  if (add_special) ids.insert(ids.end(), spec.suffix_ids.begin(), spec.suffix_ids.end());
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
