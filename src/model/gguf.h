// The GGUF container, versions 2 and 3, little-endian: header, metadata, table of tensors.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
// Nothing in the file is trusted: every count, length and offset is checked against the bytes that
// are there before it is used and before anything is allocated for it. What the values mean is not
// known here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/stored_tensor.h"

namespace prefold {

enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
std::string_view name_of(GgufType type);  // "u32", "string", "array", ...

// Elements as stored; strings (a 64-bit length and the bytes, each) have been checked to fit.
struct GgufArray {
  GgufType element_type = GgufType::kUint8;
  uint64_t count = 0;
  std::span<const std::byte> bytes;
};

// Integers are widened, floats are exact as double. Strings and arrays point into the file.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray>;

struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::kUint8;
  GgufValue value;
};

struct Gguf {
  uint32_t version = 0;
  std::vector<GgufEntry> metadata;    // distinct keys, in file order
  std::vector<StoredTensor> tensors;  // distinct names, disjoint bytes inside the file, file order
};

// Whether bytes begin as a GGUF file does.
bool is_gguf(std::span<const std::byte> bytes);

// `path` serves for messages only; the result's views point into `bytes`. Throws FormatError naming
// path, place and what was wanted.
Gguf parse_gguf(const std::string& path, std::span<const std::byte> bytes);

// The elements of an array of strings.
std::vector<std::string> strings_of(const GgufArray& array);

// Text from a file, fit for a message: at most 64 bytes, unprintable ones as '?'.
std::string printable(std::string_view text);

}  // namespace prefold
