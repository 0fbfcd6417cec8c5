// Which kinds of tensors config.json says there are, and which there are.
#pragma once

#include <string>
#include <vector>

#include "model/hf_config.h"
#include "model/hf_tensors.h"

namespace prefold {

// Programs that quantise write a bias of zeros for every matrix; takes away those that config.json
// does not know.
void drop_zero_biases(const HfModel& model, const std::vector<HfFile>& files,
                      std::vector<StoredTensor>& tensors);

// Throws FormatError naming `path` unless config.json and the tensors agree.
void check_presence(const std::string& path, const HfModel& model,
                    const std::vector<StoredTensor>& tensors);

}  // namespace prefold
