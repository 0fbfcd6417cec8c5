#include "io/shard_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "io/source_marker.h"

namespace prefold {
namespace {

constexpr size_t kWaitingBytes = size_t{64} << 20;
constexpr size_t kLeastWaitingBytes = size_t{16} << 10;
constexpr mode_t kFileMode = 0666;

[[noreturn]] void fail(const std::string& path) {
  throw Error(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

// Opens the file, has `fn` use it, and closes it.
template <typename Fn>
void with_file(const std::string& path, int flags, Fn&& fn) {
  const int fd = open(path.c_str(), flags | O_WRONLY | O_CLOEXEC, kFileMode);
  if (fd < 0) fail(path);
  const bool done = fn(fd);
  const int error = errno;
  const bool closed = close(fd) == 0;
  if (!done) errno = error;
  if (!done || !closed) fail(path);
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

ShardFiles::ShardFiles(std::vector<std::string> paths)
    : files_(paths.size()),
      max_waiting_bytes_(
          std::max(kLeastWaitingBytes, kWaitingBytes / std::max<size_t>(paths.size(), 1))) {
  for (size_t i = 0; i < paths.size(); ++i) {
    with_file(paths[i], O_CREAT | O_TRUNC, [](int) { return true; });
    files_[i].path = std::move(paths[i]);
  }
}

void ShardFiles::add(int32_t file_idx, const InputLine& line) {
  File& file = files_[file_idx];
  const size_t n_before = file.waiting.size();
  const bool follows = file.last.file == line.source.file && file.last.line + 1 == line.source.line;
  if (!follows || line.source.repeats_id || line.too_long) {
    file.waiting += format_source_marker({line.source, line.too_long});
    file.waiting += '\n';
  }
  file.last = line.source;
  file.waiting += line.text;
  if (line.text.ends_with('\r')) file.waiting += '\r';  // one is taken for a part of the line's end
  file.waiting += '\n';
  file.bytes.add(std::string_view(file.waiting).substr(n_before));
  if (file.waiting.size() >= max_waiting_bytes_) write(file);
}

std::vector<FileDigest> ShardFiles::finish() {
  std::vector<FileDigest> digests;
  for (File& file : files_) {
    write(file);
    with_file(file.path, 0, [](int fd) { return fsync(fd) == 0; });
    digests.push_back(digest_of(file.bytes));
  }
  return digests;
}

void ShardFiles::write(File& file) {
  with_file(file.path, O_APPEND, [&](int fd) { return write_all(fd, file.waiting); });
  file.waiting.clear();
}

}  // namespace prefold
