// Adapters as PEFT saves them: a folder with adapter_config.json and adapter_model.safetensors.
// https://huggingface.co/docs/peft
#pragma once

#include <string>

#include "model/lora.h"

namespace prefold {

LoraFile open_peft_lora(const std::string& folder, const ModelFile& model);

}  // namespace prefold
