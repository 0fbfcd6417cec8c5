// Reads little-endian values from bytes nobody vetted; for gguf.cc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace prefold {

// A position in a file. Every read first checks that the bytes are there, else throws FormatError
// naming path, offset and what was being read.
class GgufReader {
 public:
  GgufReader(std::string_view path, std::span<const std::byte> bytes)
      : path_(path), bytes_(bytes) {}

  std::string_view path() const { return path_; }
  size_t position() const { return position_; }
  size_t n_left() const { return bytes_.size() - position_; }

  std::span<const std::byte> read_bytes(uint64_t n_bytes, std::string_view what) {
    if (n_bytes > n_left()) {
      throw FormatError(fmt::format(
          "{}: {} at offset {} needs {} bytes, but the file ends after {} more; is it truncated?",
          path_, what, position_, n_bytes, n_left()));
    }
    const auto read = bytes_.subspan(position_, static_cast<size_t>(n_bytes));
    position_ += static_cast<size_t>(n_bytes);
    return read;
  }

  template <typename T>
  T read(std::string_view what) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, read_bytes(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  // A 64-bit length and that many bytes.
  std::string_view read_string(std::string_view what) {
    const auto n_bytes = read<uint64_t>(what);
    const auto bytes = read_bytes(n_bytes, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  std::string_view path_;
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace prefold
