// The tensors of a Hugging Face model under the names of model_tensors.h: renamed, fused ones cut
// apart, stored orders described so that read_tensor can mend them.
#pragma once

#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "model/hf_config.h"
#include "model/hf_quantization.h"
#include "model/safetensors.h"
#include "model/stored_tensor.h"

namespace prefold {

// What one file of the model holds.
struct HfFile {
  const MappedFile* mapped = nullptr;
  std::vector<SafetensorsEntry> entries;
};

// Throws FormatError naming file and tensor: of an unsupported type, with no place in this model,
// there twice, of a shape that cannot be cut.
std::vector<StoredTensor> read_hf_tensors(const std::string& path, const HfModel& model,
                                          const HfQuantization& quantization,
                                          const std::vector<HfFile>& files);

}  // namespace prefold
