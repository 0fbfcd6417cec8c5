// The tokenizer of a Hugging Face directory: tokenizer.json (the format of Hugging Face
// `tokenizers`) and tokenizer_config.json. Nobody vetted these files: every value is checked, and
// what is not supported is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace prefold {

struct HfTokenizerFiles {
  std::string tokenizer_path;       // for messages
  std::string_view tokenizer_json;  // the whole document
  std::string config_path;
  std::string_view config_json;  // tokenizer_config.json; empty: there is none
};

// n_rows: rows of the embedding (vocab_size of config.json), at least as many as there are tokens;
// ids above the last token are unused.
//
// From tokenizer.json: models BPE and Unigram; normalizers NFC, NFD, NFKC, NFKD, Lowercase,
// StripAccents, Strip, Replace, Prepend, Precompiled, ByteLevel, Sequence; pre-tokenizers
// ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit,
// CharDelimiterSplit, Sequence; post-processors TemplateProcessing (of one sequence), ByteLevel,
// BertProcessing, RobertaProcessing, Sequence; decoders ByteLevel, ByteFallback, Fuse, Metaspace,
// Replace, Strip, Sequence. truncation and padding are left aside: a prompt is never cut or padded.
// From tokenizer_config.json: bos_token, eos_token, unk_token, pad_token, and, where it has one of
// them, add_bos_token and add_eos_token, which then replace the post-processor as in transformers.
// eot_id is left to the caller, who knows generation_config.json, unless the vocabulary has one of
// the usual names ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>").
//
// Throws FormatError: file, key, value and what was wanted.
TokenizerSpec read_hf_tokenizer(const HfTokenizerFiles& files, int32_t n_rows);

}  // namespace prefold
