// Opens a Hugging Face directory: config.json, safetensors, tokenizer, generation_config.json.
#pragma once

#include <string>

#include "model/model_file.h"

namespace prefold {

// Throws Error (a file is missing or unreadable) or FormatError.
ModelFile load_hf(const std::string& folder);

}  // namespace prefold
