// A file mapped read-only. Pages are read when touched and can be dropped again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace prefold {

class MappedFile {
 public:
  // Throws Error naming the path and the reason (missing, a directory, empty, unreadable).
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, n_bytes_}; }

  // Tells the kernel that these bytes are not needed again soon, so that they leave this process's
  // resident memory. Their content stays readable.
  void drop(size_t offset, size_t n_bytes) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t n_bytes_ = 0;
};

}  // namespace prefold
