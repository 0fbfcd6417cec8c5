// What a file holds, so that a later run can tell whether it still does.
#pragma once

#include <cstdint>
#include <string>

#include "io/fingerprint.h"

namespace prefold {

struct FileDigest {
  int64_t n_bytes = 0;
  std::string digest;  // "siphash128:<hex>" of the bytes as they are stored
  bool operator==(const FileDigest&) const = default;
};

FileDigest digest_of(const FingerprintStream& bytes);

// Throws Error naming the path.
FileDigest digest_of_file(const std::string& path);

}  // namespace prefold
