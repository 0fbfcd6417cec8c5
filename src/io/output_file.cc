#include "io/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/durable_file.h"

namespace prefold {
namespace {

constexpr size_t kFlushBytes = size_t{1} << 20;
constexpr mode_t kFileMode = 0666;

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool is_regular(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

AppendFile::AppendFile(std::string name, int fd, bool owned)
    : name_(std::move(name)), fd_(fd), owned_(owned), is_file_(is_regular(fd)) {
  if (is_file_ && owned_) measure();
}

void AppendFile::measure() {
  struct stat status {};
  if (fstat(fd_, &status) != 0) fail("cannot write", errno);
  n_bytes_ = status.st_size;
}

AppendFile::~AppendFile() {
  if (owned_) ::close(fd_);
}

bool AppendFile::append_line(std::string_view line) {
  buffer_ += line;
  buffer_ += '\n';
  return buffer_.size() >= kFlushBytes;
}

void AppendFile::flush() {
  std::string_view left = buffer_;
  unsynced_ = unsynced_ || !left.empty();
  while (!left.empty()) {
    const ssize_t n = write(fd_, left.data(), left.size());
    if (n >= 0) {
      left.remove_prefix(static_cast<size_t>(n));
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
      const std::string_view written(buffer_.data(), buffer_.size() - left.size());
      n_bytes_ += static_cast<int64_t>(written.rfind('\n') + 1);  // npos + 1 is 0
      [[maybe_unused]] const int cut = ftruncate(fd_, n_bytes_);
    }
    buffer_.clear();
    fail("cannot write", error_number);
  }
  n_bytes_ += static_cast<int64_t>(buffer_.size());
  buffer_.clear();
}

void AppendFile::sync() {
  if (!is_file_ || !unsynced_) return;
  if (fdatasync(fd_) != 0) fail("cannot write", errno);
  unsynced_ = false;
}

void AppendFile::truncate(int64_t n_bytes) {
  if (ftruncate(fd_, n_bytes) != 0) fail("cannot shorten", errno);
  n_bytes_ = n_bytes;
  unsynced_ = true;
}

void AppendFile::close() {
  if (!owned_) return;
  owned_ = false;
  if (::close(fd_) != 0) fail("cannot write", errno);
}

void AppendFile::fail(const char* what, int error_number) const {
  throw Error(fmt::format("{} {}: {}", what, name_, std::strerror(error_number)));
}

OutputFile::OutputFile(const std::string& path, ExistingOutput existing,
                       std::span<const std::string> input_paths)
    : path_(path) {
  if (path == "-") {
    file_ = std::make_unique<AppendFile>("stdout", STDOUT_FILENO, false);
  } else {
    const bool is_new = access(path.c_str(), F_OK) != 0;
    const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kFileMode);
    if (fd < 0) throw Error(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
    file_ = std::make_unique<AppendFile>(path, fd, true);
    if (is_new) sync_folder_of(path);
  }
  if (!file_->is_file()) return;
  struct stat status {};
  if (fstat(file_->fd(), &status) != 0) file_->fail("cannot write", errno);
  for (const std::string& input : input_paths) {
    struct stat other {};
    const int found = input == "-" ? fstat(STDIN_FILENO, &other) : stat(input.c_str(), &other);
    if (found == 0 && same_file(status, other)) {
      throw Error(fmt::format("the output {} is also an input", file_->name()));
    }
  }
  if (path == "-") return;
  lock_ = std::make_unique<FileLock>(file_->fd(), path);
  file_->measure();
  check_is_in_place();
  if (file_->n_bytes() > 0 && existing == ExistingOutput::kRefuse) {
    throw Error(fmt::format(
        "{} exists and is not empty; --resume continues it, --overwrite replaces it", path));
  }
}

void OutputFile::keep(int64_t n_bytes, bool add_line_end) {
  check_is_in_place();
  if (n_bytes < file_->n_bytes()) file_->truncate(n_bytes);
  begun_ = true;
  if (add_line_end) {
    file_->append_line("");
    file_->flush();
  }
  file_->sync();
}

void OutputFile::begin() {
  if (begun_) return;
  begun_ = true;
  if (can_be_continued()) {
    check_is_in_place();
    if (file_->n_bytes() > 0) file_->truncate(0);
    file_->sync();
  }
  if (on_begin_) on_begin_();
}

void OutputFile::append_line(std::string_view line) {
  if (file_->append_line(line)) flush();
}

void OutputFile::flush() {
  if (!file_->has_buffered()) return;
  begin();
  check_is_in_place();
  file_->flush();
}

void OutputFile::sync() {
  flush();
  file_->sync();
}

void OutputFile::close() {
  begin();
  sync();
  check_is_in_place();
  file_->close();
}

// What was written would otherwise be lost, or stand in the middle of something else, unnoticed.
void OutputFile::check_is_in_place() const {
  if (!can_be_continued()) return;
  struct stat ours {
  }, there{};
  if (fstat(file_->fd(), &ours) != 0) file_->fail("cannot write", errno);
  if (stat(path_.c_str(), &there) != 0 || !same_file(ours, there)) {
    throw Error(fmt::format("{} was deleted or replaced while this run was writing it", path_));
  }
  if (ours.st_size != file_->n_bytes()) {
    throw Error(
        fmt::format("{} was changed while this run was writing it: it has {} bytes; {} were "
                    "expected",
                    path_, ours.st_size, file_->n_bytes()));
  }
}

}  // namespace prefold
