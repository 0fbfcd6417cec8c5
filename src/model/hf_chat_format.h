// The chat templates and special tokens of a Hugging Face directory, as transformers'
// from_pretrained finds them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tokenizer/chat_format.h"

namespace prefold {

// tokenizer_config: the parsed tokenizer_config.json, or null where the directory has none.
//
// Templates: those of files of their own, chat_template.jinja ("default") and
// additional_chat_templates/NAME.jinja; if there is none, "chat_template" of tokenizer_config: a
// string, an array of {"name", "template"}, or an object from names to templates; if there is none
// either, "chat_template" of chat_template.json. Special tokens: strings, or objects with a
// "content", in tokenizer_config, and where that has no "added_tokens_decoder", before those in
// special_tokens_map.json.
//
// Throws Error (a file that cannot be read), FormatError (names file and key, what it is and what
// was wanted; a file of more than 4 MiB).
ChatFormat read_hf_chat_format(const std::string& directory,
                               const nlohmann::ordered_json& tokenizer_config);

}  // namespace prefold
