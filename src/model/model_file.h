// A model on disk, opened and fully checked, but with no weight read yet: enough for `plan`,
// `inspect`, `tokenize` and `render`. load_weights then packs the tensors.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/weights.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

struct ModelFile {
  MappedFile file;
  std::string format;  // "GGUF v3"
  ModelConfig config;
  TokenizerSpec tokenizer;
  std::optional<std::string> chat_template;
  std::vector<StoredTensor> tensors;
  int64_t n_parameters = 0;
};

// Throws Error (unreadable) or FormatError (names file, key or tensor, value, and what was wanted).
ModelFile open_model(const std::string& path);

// Packs every tensor; source pages are dropped as they are done with. The result owns its memory.
Weights load_weights(const ModelFile& model, ThreadPool& pool);

}  // namespace prefold
