#include "model/load_gguf.h"

#include <utility>

#include "base/error.h"
#include "model/gguf_chat_format.h"
#include "model/gguf_config.h"
#include "model/gguf_files.h"
#include "model/gguf_metadata.h"
#include "model/gguf_tensors.h"
#include "model/gguf_tokenizer.h"
#include "model/model_limits.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

void check_kind_of_file(const GgufMetadata& metadata) {
  const auto type = find_string(metadata, "general.type");
  if (!type || *type == "model") return;
  throw FormatError(fmt::format("{}: \"general.type\" is \"{}\"; wanted \"model\"", metadata.path,
                                printable(*type)));
}

std::vector<float> read_factors(const ModelFile& model, const std::vector<StoredTensor>& tensors,
                                std::string_view name) {
  const StoredTensor* tensor = find_tensor(tensors, name);
  if (tensor == nullptr) return {};
  if (traits_of(tensor->type).block_elements != 1 || n_elements(*tensor) > kMaxHeadDim) {
    throw FormatError(fmt::format("{}: tensor \"{}\" is {} {}; wanted at most {} floats",
                                  model.path, name, n_elements(*tensor),
                                  traits_of(tensor->type).name, kMaxHeadDim));
  }
  return read_floats(model, *tensor);
}

// Those of the first rope: gemma3's second is never scaled.
void read_frequency_factors(const std::vector<StoredTensor>& tensors, ModelFile& model) {
  if (model.config.ropes.empty()) return;
  RopeConfig& rope = model.config.ropes[0];
  std::vector<float> factors = read_factors(model, tensors, kRopeFactors);
  if (!factors.empty()) {
    rope.frequency_factors = std::move(factors);
    if (rope.scaling == RopeScaling::kNone) rope.scaling = RopeScaling::kLlama3;
  }
  std::vector<float> short_factors = read_factors(model, tensors, kShortRopeFactors);
  rope.long_frequency_factors = read_factors(model, tensors, kLongRopeFactors);
  if (!short_factors.empty() || !rope.long_frequency_factors.empty()) {
    rope.scaling = RopeScaling::kLongRope;
  }
  if (rope.scaling == RopeScaling::kLongRope) {
    if (short_factors.empty() || rope.long_frequency_factors.empty()) {
      throw FormatError(fmt::format("{}: tensor \"{}\", which longrope needs, is missing",
                                    model.path,
                                    short_factors.empty() ? kShortRopeFactors : kLongRopeFactors));
    }
    rope.frequency_factors = std::move(short_factors);
  }
  check_config(model.path, model.config);
}

}  // namespace

ModelFile load_gguf(MappedFile file) {
  ModelFile model;
  model.path = file.path();
  GgufFiles gguf = open_gguf_files(std::move(file));
  model.files = std::move(gguf.files);
  model.format = fmt::format("GGUF v{}", gguf.version);
  if (model.files.size() > 1) model.format += fmt::format(", {} files", model.files.size());
  const GgufMetadata metadata{model.path, &gguf.metadata};
  check_kind_of_file(metadata);
  model.config = read_gguf_config(metadata, gguf.tensors);
  read_frequency_factors(gguf.tensors, model);
  model.tensors = cut_gguf_tensors(model.path, model.config, std::move(gguf.tensors));
  check_model_tensors(model.path, model.config, model.tensors);
  model.tokenizer = read_tokenizer(metadata, model.config.vocab_size);
  model.chat_format = read_gguf_chat_format(metadata, model.tokenizer);
  return model;
}

}  // namespace prefold
