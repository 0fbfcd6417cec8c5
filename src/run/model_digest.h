// Tells models apart in reports.
#pragma once

#include <string>

#include "model/model_file.h"

namespace prefold {

// "siphash128-sampled:<hex>": of the file's size, everything before the tensors, and the first and
// last 4 KiB of each tensor.
std::string model_digest(const ModelFile& model);

}  // namespace prefold
