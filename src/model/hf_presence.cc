#include "model/hf_presence.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

bool is_of_kind(const StoredTensor& tensor, const std::string& kind) {
  if (kind == "norm weight") return tensor.name == kOutputNorm;
  if (kind == "norm bias") return tensor.name == kOutputNormBias;
  if (kind == kOutputBias) return tensor.name == kOutputBias;
  return tensor.name.starts_with("blk.") && tensor.name.ends_with("." + kind);
}

}  // namespace

void drop_zero_biases(const HfModel& model, const std::vector<HfFile>& files,
                      std::vector<StoredTensor>& tensors) {
  std::erase_if(tensors, [&](const StoredTensor& tensor) {
    const bool is_unwanted =
        std::any_of(model.presence.begin(), model.presence.end(), [&](const HfPresence& expected) {
          return !expected.is_there && expected.kind.ends_with(".bias") &&
                 is_of_kind(tensor, expected.kind);
        });
    if (!is_unwanted) return false;
    const std::span<const std::byte> bytes =
        files[static_cast<size_t>(tensor.file)].mapped->bytes();
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(tensor.offset);
    return std::all_of(begin, begin + static_cast<std::ptrdiff_t>(tensor.n_bytes),
                       [](std::byte byte) { return byte == std::byte{0}; });
  });
}

void check_presence(const std::string& path, const HfModel& model,
                    const std::vector<StoredTensor>& tensors) {
  for (const HfPresence& expected : model.presence) {
    const bool is_there =
        std::any_of(tensors.begin(), tensors.end(),
                    [&](const StoredTensor& tensor) { return is_of_kind(tensor, expected.kind); });
    if (is_there == expected.is_there) continue;
    throw FormatError(fmt::format("{}: the model {} \"{}\" tensors, unlike its configuration ({})",
                                  path, expected.is_there ? "lacks" : "has", expected.kind,
                                  expected.because));
  }
}

}  // namespace prefold
