// Text to token ids and back. Ids equal those of Hugging Face tokenizers for the same vocabulary,
// without text normalisation (qwen2's NFC), which GGUF files do not carry.
// Thread safe: encode and decode may run on several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

enum class TokenKind : uint8_t { kNormal, kUnknown, kControl, kUserDefined, kUnused, kByte };

enum class TokenizerModel { kByteLevelBpe, kSentencePiece };

// All that a model file says of its tokenizer; where it came from (GGUF metadata) does not matter.
struct TokenizerSpec {
  TokenizerModel model = TokenizerModel::kByteLevelBpe;
  std::string pre;  // GGUF pre-tokenizer name: "llama-bpe", "qwen2", "gpt-2", "smollm"
  std::vector<std::string>
      tokens;  // as stored (byte-level alphabet for BPE, U+2581 for spaces in SPM)
  std::vector<TokenKind> kinds;     // as many as tokens
  std::vector<std::string> merges;  // BPE: "left right", best first
  std::vector<float> scores;        // SentencePiece: as many as tokens
  std::optional<int32_t> bos_id;
  std::optional<int32_t> eos_id;
  std::optional<int32_t> eot_id;  // end of turn, a further stop token
  std::optional<int32_t> unknown_id;
  std::optional<int32_t> pad_id;
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = true;  // SentencePiece
};

class Tokenizer {
 public:
  // Throws FormatError naming what is wrong: an unknown pre-tokenizer (with the known ones), ids
  // out of range, a merge of unknown tokens, too few kinds or scores, tokens that are not UTF-8 or
  // longer than 1,024 bytes. Of tokens spelled alike, encode gives the last.
  explicit Tokenizer(TokenizerSpec spec);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // add_special: BOS/EOS where the model wants them. parse_special: text such as "<|im_end|>" that
  // spells a control or unknown token becomes that token (chat templates); user-defined tokens
  // always do. Where several fit, the leftmost and of those the longest is taken.
  // Throws RequestError: "invalid_utf8", "prompt_too_long" (over 1 GiB of text).
  std::vector<int32_t> encode(std::string_view text, bool add_special, bool parse_special) const;

  // The bytes of a token in running text: control and unknown tokens give their spelling if
  // `special`, else "".
  // Ids must be in range. SentencePiece's leading space is not removed here.
  std::string_view piece(int32_t id, bool special) const;

  // The text of ids (which must be in range), without the space that SentencePiece put before it.
  // Bytes that are no UTF-8 become U+FFFD as in Hugging Face tokenizers: in byte-level BPE one for
  // each broken character; in SentencePiece one for each byte of a run of byte tokens that is not
  // UTF-8 as a whole.
  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const;

  int32_t vocab_size() const;
  TokenKind kind(int32_t id) const;
  const TokenizerSpec& spec() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of tokens into text that never ends inside a UTF-8 character: the concatenation of
// everything returned equals Tokenizer::decode of all ids. A run of SentencePiece byte tokens comes
// out when it has ended. The tokenizer outlives the decoder.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);

  // The text that this token completes; may be empty.
  std::string push(int32_t id);
  // What is left at the end: U+FFFD for each broken character as decode gives, or empty.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool at_start_ = true;
  std::string pending_;  // bytes of an unfinished character or run of byte tokens
};

}  // namespace prefold
