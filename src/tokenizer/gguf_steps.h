// What GGUF files say of a tokenizer by a name ("tokenizer.ggml.pre"), by its model and by the
// kinds of its tokens, spelled out.
#pragma once

#include "tokenizer/tokenizer.h"

namespace prefold {

// Fills steps, added_tokens, ignore_merges and byte_fallback of a spec in which they are implied:
// one that has a `gguf_pre`, or is of the SentencePiece kind.
// Throws FormatError that lists the known names.
void spell_out_gguf(TokenizerSpec& spec);

}  // namespace prefold
