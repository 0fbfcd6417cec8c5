// Where input bytes come from: a plain, gzip or zstd file or pipe, told apart by their first bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "io/fingerprint.h"

namespace prefold {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills up to n_bytes and returns how many; 0 only at the end. Throws Error naming the path when
  // reading fails or compressed data is corrupt or cut short.
  virtual size_t read(char* to, size_t n_bytes) = 0;
};

// Opens `path`; "-" is standard input, which is left open. gzip may have several members, zstd
// several frames (windows up to 128 MiB). Throws Error naming the path: missing, unreadable, a
// directory, or by its first bytes another format (xz, bzip2, zip, Parquet, UTF-16). `digest`, if
// there is one, is given the bytes as they are stored; it must outlive the source.
std::unique_ptr<ByteSource> open_byte_source(const std::string& path,
                                             FingerprintStream* digest = nullptr);

}  // namespace prefold
