#include "io/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace prefold {
namespace {

constexpr mode_t kFileMode = 0666;

[[noreturn]] void fail(const std::string& path, int error_number) {
  throw Error(fmt::format("cannot write {}: {}", path, std::strerror(error_number)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

// errno of what failed, 0 if nothing did. A pipe or a terminal cannot be synced, and need not be.
int write_whole(const std::string& path, int flags, std::string_view content, bool sync) {
  Descriptor file(open(path.c_str(), flags | O_WRONLY | O_CLOEXEC, kFileMode));
  if (file.get() < 0) return errno;
  while (!content.empty()) {
    const ssize_t n = write(file.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    content.remove_prefix(static_cast<size_t>(n));
  }
  if (sync && fsync(file.get()) != 0) return errno;
  return file.close() == 0 ? 0 : errno;
}

}  // namespace

void sync_folder_of(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const Descriptor file(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) fail(folder.string(), errno);
  // Some file systems have nothing to sync in a folder, and say so.
  if (fsync(file.get()) != 0 && errno != EINVAL && errno != ENOTSUP) fail(folder.string(), errno);
}

void replace_file(const std::string& path, std::string_view content) {
  struct stat status {};
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    if (const int error = write_whole(path, 0, content, false)) fail(path, error);
    return;
  }
  std::error_code none;
  std::string target = path;
  if (exists && std::filesystem::is_symlink(path, none)) {
    target = std::filesystem::canonical(path, none).string();
    if (none) fail(path, none.value());
  }
  const std::string part = target + ".part";
  int error = write_whole(part, O_CREAT | O_TRUNC, content, true);
  if (error == 0 && exists) [[maybe_unused]]
    const int kept = chmod(part.c_str(), status.st_mode);
  if (error == 0 && rename(part.c_str(), target.c_str()) != 0) error = errno;
  if (error != 0) {
    unlink(part.c_str());
    fail(path, error);
  }
  sync_folder_of(target);
}

}  // namespace prefold
