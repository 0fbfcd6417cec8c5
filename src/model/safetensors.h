// The safetensors container: a 64-bit length, that many bytes of JSON, then the tensors' bytes.
// https://github.com/huggingface/safetensors
//
// Nothing in the file is trusted: lengths, names, types, shapes and ranges of bytes are checked
// before use. What the tensors are for is not known here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_type.h"

namespace prefold {

enum class SafetensorsType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64
};
std::string_view name_of(SafetensorsType type);  // as in the file: "BF16"
// F32, F16 and BF16; none of the others.
std::optional<TensorType> float_tensor_type(SafetensorsType type);

struct SafetensorsEntry {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<int64_t> shape;  // outermost first; may be empty (one element)
  size_t offset = 0;           // into the file
  size_t n_bytes = 0;
};

// Distinct names, in the order of their bytes, which lie one after another without a gap to the end
// of the file, as the format wants it. `path` serves for messages only. Throws FormatError naming
// path, tensor, value and what was wanted.
std::vector<SafetensorsEntry> parse_safetensors(const std::string& path,
                                                std::span<const std::byte> bytes);

// The files of a model folder: {"model.safetensors"}, or those that model.safetensors.index.json
// names, in order of name, with the file that each tensor is in.
struct SafetensorsFiles {
  struct Place {
    std::string tensor;
    size_t file_idx = 0;
  };
  std::vector<std::string> names;  // of files in the folder, never a path out of it
  std::vector<Place> weight_map;   // empty without an index
};
// Throws Error (no such files, unreadable) or FormatError.
SafetensorsFiles find_safetensors(const std::string& folder);

}  // namespace prefold
