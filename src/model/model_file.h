// A model on disk, opened and fully checked, but with no weight read yet: enough for `plan`,
// `inspect`, `tokenize` and `render`. load_weights then packs the tensors.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "model/config.h"
#include "model/generation_config.h"
#include "model/lora.h"
#include "model/stored_tensor.h"
#include "model/weights.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/tokenizer.h"

namespace prefold {

struct ModelFile {
  std::string path;               // as the user gave it: a file or a folder
  std::vector<MappedFile> files;  // what StoredTensor::file counts; at least one
  std::string format;             // "GGUF v3", "safetensors"
  ModelConfig config;
  TokenizerSpec tokenizer;
  ChatFormat chat_format;
  GenerationConfig generation;
  std::vector<StoredTensor> tensors;  // under the names of model_tensors.h, whatever the format
  std::vector<LoraFile> adapters;     // opened for it, if any
};

int64_t n_parameters(const ModelFile& model);

// The bytes of a tensor as its type and shape say: those of the file where they lie there so, else
// made now (a transposed matrix, permuted rows, another quantisation).
struct TensorBytes {
  std::span<const std::byte> bytes;
  std::vector<std::byte> made;  // what `bytes` points to then
};
TensorBytes read_tensor(const ModelFile& model, const StoredTensor& tensor);
// The values of a tensor of plain floats.
std::vector<float> read_floats(const ModelFile& model, const StoredTensor& tensor);
// Its pages are not needed again.
void drop_tensor(const ModelFile& model, const StoredTensor& tensor);

// path: a GGUF file (of a split model any one), or a Hugging Face folder. Throws Error (unreadable)
// or FormatError (names file, key or tensor, value, and what was wanted).
ModelFile open_model(const std::string& path);

// Packs every tensor, and those of the adapters in f32; source pages are dropped as they are done
// with. The result owns its memory.
Weights load_weights(const ModelFile& model, ThreadPool& pool);

}  // namespace prefold
