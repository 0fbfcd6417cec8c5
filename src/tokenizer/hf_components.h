// Readers of the parts of a tokenizer.json. Each throws FormatError for what it does not know.
#pragma once

#include "tokenizer/json_value.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

enum class MetaspacePrepend { kAlways, kFirst, kNever };
// Of a Metaspace pre-tokenizer or decoder.
MetaspacePrepend read_prepend_scheme(const JsonValue& json);

void read_hf_normalizer(const JsonValue& json, std::vector<NormalizerStep>& steps);
void read_hf_pre_tokenizer(const JsonValue& json, std::vector<PreTokenizerStep>& steps);
DecoderSpec read_hf_decoder(const JsonValue& json);

// The model: tokens by id (holes are ""), kinds (kNormal, kUnused for holes), merges or scores, and
// how unknown characters are treated.
void read_hf_model(const JsonValue& json, TokenizerSpec& spec);

// Fills prefix_ids and suffix_ids. Added tokens are there already.
void read_hf_post_processor(const JsonValue& json, TokenizerSpec& spec);

}  // namespace prefold
