// Decoding as Hugging Face tokenizers do it, a token at a time.
#include <utility>

#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_impl.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

using Join = DecoderSpec::Join;

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : vocabulary_(&tokenizer.impl_->vocabulary), skip_special_(skip_special) {
  for (const DecoderSpec::Edit& spec : vocabulary_->token_text().spec().strips) {
    strips_.push_back({spec.start, {}});
  }
}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && vocabulary_->is_special(id)) return {};
  const TokenText& token_text = vocabulary_->token_text();
  if (token_text.spec().join == Join::kBytes) {
    pending_ += vocabulary_->bytes(id);
    const size_t n_complete = complete_utf8_bytes(pending_);
    std::string text;
    append_lossy_utf8(std::string_view(pending_).substr(0, n_complete), text);
    pending_.erase(0, n_complete);
    return strip(std::move(text));
  }
  if (token_text.spec().byte_fallback && vocabulary_->kind(id) == TokenKind::kByte) {
    pending_ += vocabulary_->bytes(id);  // the run may go on
    return {};
  }
  std::string text = end_of_run();
  if (is_first_ && token_text.first_differs()) {
    text += next_item(token_text.text_of(vocabulary_->spelling(id), true));
  } else {
    text += next_item(std::string(vocabulary_->bytes(id)));
  }
  return strip(std::move(text));
}

std::string StreamDecoder::finish() {
  std::string text;
  if (vocabulary_->token_text().spec().join == Join::kBytes) {
    append_lossy_utf8(std::exchange(pending_, {}), text);
  } else {
    text = end_of_run();
  }
  text = strip(std::move(text));
  for (Strip& one : strips_) one.held.clear();
  return text;
}

std::string StreamDecoder::next_item(std::string text) {
  const bool spaced = vocabulary_->token_text().spec().join == Join::kSpaced && !is_first_;
  is_first_ = false;
  return spaced ? " " + text : text;
}

std::string StreamDecoder::end_of_run() {
  if (pending_.empty()) return {};
  return next_item(vocabulary_->token_text().text_of_bytes(std::exchange(pending_, {}), is_first_));
}

// Takes characters off the beginning of everything, and holds back those at its end that have to go
// if nothing follows.
std::string StreamDecoder::strip(std::string text) {
  for (size_t i = 0; i < strips_.size(); ++i) {
    const DecoderSpec::Edit& spec = vocabulary_->token_text().spec().strips[i];
    const std::string_view character = spec.pattern.text;
    Strip& state = strips_[i];
    std::string_view rest = text;
    for (; state.start > 0 && rest.substr(0, character.size()) == character; --state.start) {
      rest.remove_prefix(character.size());
    }
    if (!rest.empty()) state.start = 0;
    std::string whole = std::exchange(state.held, {}).append(rest);
    std::string_view kept = whole;
    for (uint32_t n = 0; n < spec.stop && kept.size() >= character.size() &&
                         kept.substr(kept.size() - character.size()) == character;
         ++n) {
      kept.remove_suffix(character.size());
    }
    state.held = whole.substr(kept.size());
    text = std::string(kept);
  }
  return text;
}

}  // namespace prefold
