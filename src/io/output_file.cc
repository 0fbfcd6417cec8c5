#include "io/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace prefold {
namespace {

constexpr size_t kFlushBytes = size_t{1} << 20;
constexpr mode_t kFileMode = 0666;

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

OutputFile::OutputFile(const std::string& path, ExistingOutput existing,
                       std::span<const std::string> input_paths)
    : name_(path == "-" ? "stdout" : path) {
  if (path == "-") {
    fd_ = STDOUT_FILENO;
  } else {
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kFileMode);
    if (fd_ < 0) fail("cannot write", errno);
    owned_ = true;
  }
  try {
    struct stat status {};
    if (fstat(fd_, &status) != 0) fail("cannot write", errno);
    is_file_ = S_ISREG(status.st_mode);
    if (!is_file_) return;
    for (const std::string& input : input_paths) {
      struct stat other {};
      const int found = input == "-" ? fstat(STDIN_FILENO, &other) : stat(input.c_str(), &other);
      if (found == 0 && same_file(status, other)) {
        throw Error(fmt::format("the output {} is also an input", name_));
      }
    }
    if (!owned_) return;
    // Some file systems cannot lock; they give other errors and the run goes on.
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      throw Error(fmt::format("{} is being written by another run", name_));
    }
    if (status.st_size > 0 && existing == ExistingOutput::kRefuse) {
      throw Error(fmt::format("{} exists and is not empty; --overwrite replaces it", name_));
    }
    replace_pending_ = status.st_size > 0;
  } catch (...) {
    if (owned_) ::close(fd_);
    throw;
  }
}

OutputFile::~OutputFile() {
  if (owned_) ::close(fd_);
}

void OutputFile::append_line(std::string_view line) {
  buffer_ += line;
  buffer_ += '\n';
  if (buffer_.size() >= kFlushBytes) flush();
}

void OutputFile::flush() {
  if (buffer_.empty()) return;
  if (replace_pending_ && ftruncate(fd_, 0) != 0) fail("cannot replace", errno);
  replace_pending_ = false;
  write_all(buffer_);
  n_written_ += static_cast<int64_t>(buffer_.size());
  buffer_.clear();
}

void OutputFile::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // a pipe that its maker set to non-blocking
      pollfd ready{fd_, POLLOUT, 0};
      poll(&ready, 1, -1);
      continue;
    }
    const int error_number = errno;
    if (is_file_ && owned_) {
      // Best effort: the write's own error is the one to report.
      [[maybe_unused]] const int cut = ftruncate(fd_, n_written_);
    }
    fail("cannot write", error_number);
  }
}

void OutputFile::sync() {
  flush();
  if (is_file_ && fdatasync(fd_) != 0) fail("cannot write", errno);
}

void OutputFile::close() {
  if (replace_pending_ && ftruncate(fd_, 0) != 0) fail("cannot replace", errno);
  replace_pending_ = false;
  sync();
  if (!owned_) return;
  owned_ = false;
  if (::close(fd_) != 0) fail("cannot write", errno);
}

void OutputFile::fail(const char* what, int error_number) const {
  throw Error(fmt::format("{} {}: {}", what, name_, std::strerror(error_number)));
}

}  // namespace prefold
