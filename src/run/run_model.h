// The model of a run with the adapters that it may use.
#pragma once

#include <string_view>

#include "model/model_file.h"
#include "run/options.h"

namespace prefold {

// "NAME=PATH". Throws Error naming what was wanted.
LoraOption parse_lora_option(std::string_view typed);

// Opens options.model and each of options.lora for it (ModelFile::adapters, in that order). Throws
// Error or FormatError: also of two adapters of one name, or of one with the model's own.
ModelFile open_run_model(const RunOptions& options);

}  // namespace prefold
