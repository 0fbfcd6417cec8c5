// A file in memory with a path, for code that maps its input.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"

namespace prefold {

class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t n_bytes) : fd_(memfd_create("input", 0)) {
    CHECK(fd_ >= 0);
    CHECK(write(fd_, data, n_bytes) == static_cast<ssize_t>(n_bytes));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace prefold
