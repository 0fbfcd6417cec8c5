#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace prefold {
namespace {

[[noreturn]] void throw_errno(const std::string& path, const char* action, int error) {
  throw Error(fmt::format("{}: cannot {}: {}", path, action, std::strerror(error)));
}

// Size of a regular file that holds at least one byte; throws for anything else.
size_t checked_size(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) throw_errno(path, "read its size", errno);
  if (S_ISDIR(info.st_mode)) throw Error(fmt::format("{}: is a directory, not a file", path));
  if (!S_ISREG(info.st_mode)) {
    throw Error(fmt::format("{}: is not a regular file and cannot be mapped", path));
  }
  if (info.st_size == 0) throw Error(fmt::format("{}: is empty", path));
  return static_cast<size_t>(info.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // Without O_NONBLOCK, opening a FIFO would wait for a writer; regular files do not care.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw_errno(path, "open", errno);
  void* data = MAP_FAILED;
  int error = 0;
  try {
    n_bytes_ = checked_size(fd, path);
    data = mmap(nullptr, n_bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
    error = errno;
  } catch (...) {
    close(fd);
    throw;
  }
  close(fd);
  if (data == MAP_FAILED) throw_errno(path, "map", error);
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), n_bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      n_bytes_(std::exchange(other.n_bytes_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(n_bytes_, other.n_bytes_);
  return *this;
}

void MappedFile::drop(size_t offset, size_t n_bytes) const {
  CHECK(offset <= n_bytes_ && n_bytes <= n_bytes_ - offset);
  // Only whole pages inside the range: what shares a page with it may still be wanted.
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + n_bytes) / page * page;
  if (begin >= end) return;
  // Advice only: where it fails, memory stays resident and nothing else changes.
  (void)madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace prefold
