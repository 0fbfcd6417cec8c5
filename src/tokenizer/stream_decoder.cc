// Decoding as Hugging Face tokenizers do it, a token at a time. The two families replace broken
// bytes differently: byte-level BPE replaces each broken character where it stands; SentencePiece
// takes a whole run of byte tokens, and if that is not UTF-8, each of its bytes.
#include <utility>

#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

std::string decode_byte_run(const std::string& bytes) {
  if (find_invalid_utf8(bytes) == std::string_view::npos) return bytes;
  std::string replaced;
  for (size_t i = 0; i < bytes.size(); ++i) replaced += kReplacementCharacter;
  return replaced;
}

// The space that encoding put before the text.
void strip_prefix(const TokenizerSpec& spec, std::string& text) {
  if (spec.add_space_prefix && text[0] == ' ') text.erase(0, 1);
}

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(int32_t id) {
  const std::string_view piece = tokenizer_->piece(id, !skip_special_);
  if (piece.empty()) return {};
  if (tokenizer_->spec().model == TokenizerModel::kByteLevelBpe) {
    pending_ += piece;
    const size_t n_complete = complete_utf8_bytes(pending_);
    std::string text;
    append_lossy_utf8(std::string_view(pending_).substr(0, n_complete), text);
    pending_.erase(0, n_complete);
    return text;
  }
  if (tokenizer_->kind(id) == TokenKind::kByte) {
    pending_ += piece;  // the run may go on
    return {};
  }
  std::string text = finish();
  text += piece;
  if (std::exchange(at_start_, false)) strip_prefix(tokenizer_->spec(), text);
  return text;
}

std::string StreamDecoder::finish() {
  const std::string bytes = std::exchange(pending_, {});
  std::string text;
  if (tokenizer_->spec().model == TokenizerModel::kByteLevelBpe) {
    append_lossy_utf8(bytes, text);
    return text;
  }
  text = decode_byte_run(bytes);
  if (!text.empty() && std::exchange(at_start_, false)) strip_prefix(tokenizer_->spec(), text);
  return text;
}

}  // namespace prefold
