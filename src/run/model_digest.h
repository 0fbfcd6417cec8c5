// Tells models, and adapters, apart in reports.
#pragma once

#include <string>

#include "model/model_file.h"

namespace prefold {

// "siphash128-sampled:<hex>": of each file's size, everything in it before the tensors, and the
// first and last 4 KiB of each tensor; of a folder also the texts that describe the model.
std::string model_digest(const ModelFile& model);

// So too of an adapter; of a folder with its adapter_config.json.
std::string lora_digest(const LoraFile& adapter);

}  // namespace prefold
