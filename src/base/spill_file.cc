#include "base/spill_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace prefold {
namespace {

constexpr size_t kWaitingBytes = 256 * 1024;

std::string temporary_folder() {
  const char* named = std::getenv("TMPDIR");
  return named != nullptr && *named != '\0' ? named : "/var/tmp";
}

[[noreturn]] void fail(const char* what) {
  throw Error(fmt::format("cannot {} a temporary file in {} (TMPDIR): {}", what, temporary_folder(),
                          std::strerror(errno)));
}

int open_without_name() {
  const std::string folder = temporary_folder();
  const int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  // Not every file system has such files.
  std::string path = folder + "/prefold-XXXXXX";
  const int named = mkostemp(path.data(), O_CLOEXEC);
  if (named < 0) fail("make");
  unlink(path.c_str());
  return named;
}

}  // namespace

SpillFile::~SpillFile() {
  if (fd_ >= 0) close(fd_);
}

SpillFile::SpillFile(SpillFile&& other) noexcept { *this = std::move(other); }

SpillFile& SpillFile::operator=(SpillFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(n_written_, other.n_written_);
  std::swap(waiting_, other.waiting_);
  return *this;
}

int64_t SpillFile::append(std::string_view bytes) {
  if (!waiting_.empty() && waiting_.size() + bytes.size() > kWaitingBytes) flush();
  const int64_t begin = size();
  waiting_.append(bytes);
  return begin;
}

void SpillFile::flush() {
  if (fd_ < 0) fd_ = open_without_name();
  for (size_t n_done = 0; n_done < waiting_.size();) {
    const ssize_t n = pwrite(fd_, waiting_.data() + n_done, waiting_.size() - n_done,
                             n_written_ + static_cast<int64_t>(n_done));
    if (n < 0 && errno != EINTR) fail("write");
    if (n > 0) n_done += static_cast<size_t>(n);
  }
  n_written_ += static_cast<int64_t>(waiting_.size());
  waiting_.clear();
}

std::string SpillFile::read(int64_t begin, size_t n_bytes) const {
  if (begin >= n_written_) return waiting_.substr(static_cast<size_t>(begin - n_written_), n_bytes);
  std::string bytes(n_bytes, '\0');
  for (size_t n_done = 0; n_done < n_bytes;) {
    const ssize_t n =
        pread(fd_, bytes.data() + n_done, n_bytes - n_done, begin + static_cast<int64_t>(n_done));
    if (n < 0 && errno != EINTR) fail("read");
    if (n == 0) throw Error("a temporary file has become shorter");
    if (n > 0) n_done += static_cast<size_t>(n);
  }
  return bytes;
}

}  // namespace prefold
