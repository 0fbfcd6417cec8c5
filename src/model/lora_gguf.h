// GGUF adapters, as llama.cpp's convert_lora_to_gguf.py writes them: "general.type" "adapter",
// "adapter.type" "lora", "adapter.lora.alpha", and for each changed tensor of the model NAME its
// NAME.lora_a and NAME.lora_b. The scale is alpha / rank, or 1 where alpha is 0.
#pragma once

#include <string>

#include "model/lora.h"

namespace prefold {

LoraFile open_gguf_lora(MappedFile file, const ModelFile& model);

}  // namespace prefold
