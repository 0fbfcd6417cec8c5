// A GGUF file of architecture "llama" as a ModelFile.
#pragma once

#include "base/mapped_file.h"
#include "model/model_file.h"

namespace prefold {

// Checks every configuration value against bounds within which no later size can overflow, every
// tensor's shape, and that the file asks for no feature that the forward pass lacks. Throws
// FormatError naming file, key or tensor, value, and what was wanted.
ModelFile load_gguf(MappedFile file);

}  // namespace prefold
