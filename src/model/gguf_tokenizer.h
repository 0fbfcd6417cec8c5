// What GGUF metadata says of the tokenizer.
#pragma once

#include "model/gguf_metadata.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

// vocab_size: rows of the embedding, which the token list must match. Where the file is silent, the
// defaults of llama.cpp hold, except that a BPE vocabulary without BOS or EOS has none.
TokenizerSpec read_tokenizer(const GgufMetadata& metadata, int32_t vocab_size);

}  // namespace prefold
