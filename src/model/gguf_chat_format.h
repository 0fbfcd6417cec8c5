// The chat templates of a GGUF file and the special tokens that they see.
#pragma once

#include "model/gguf_metadata.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

// "tokenizer.chat_template" is the default one; others are "tokenizer.chat_template.NAME", as
// gguf-py writes them. spec: the tokenizer of the same file. Throws FormatError.
ChatFormat read_gguf_chat_format(const GgufMetadata& metadata, const TokenizerSpec& spec);

}  // namespace prefold
