// A model in GGUF: one file, or one split into several (NAME-00001-of-0000N.gguf).
#pragma once

#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "model/gguf.h"

namespace prefold {

struct GgufFiles {
  std::vector<MappedFile> files;
  uint32_t version = 0;
  std::vector<GgufEntry> metadata;    // of the first file, which alone describes the model
  std::vector<StoredTensor> tensors;  // of all files; StoredTensor::file counts them
};

// `file`: any of a split model's files; the others are looked for beside it. Throws Error naming
// those that are missing, FormatError where they are not of one model.
GgufFiles open_gguf_files(MappedFile file);

}  // namespace prefold
