// Adapters as PEFT saves them: a folder with adapter_config.json and adapter_model.safetensors.
// https://huggingface.co/docs/peft
#pragma once

#include <string>

#include "base/mapped_file.h"
#include "model/lora.h"
#include "model/lora_peft_config.h"

namespace prefold {

LoraFile open_peft_lora(const std::string& folder, const ModelFile& model);

// The same of a folder's two files.
LoraFile read_peft_lora(const std::string& folder, const PeftLoraConfig& config, MappedFile tensors,
                        const ModelFile& model);

}  // namespace prefold
