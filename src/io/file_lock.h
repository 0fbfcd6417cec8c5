// Keeps two runs from writing one file.
#pragma once

#include <optional>
#include <string>

namespace prefold {

// Who holds a lock file: enough to tell whether that process still runs.
struct LockHolder {
  std::string host;
  std::string boot_id;  // of the kernel that is running there
  int64_t pid = 0;
  int64_t start_ticks = 0;  // when it started, since a pid may be given out again
  bool operator==(const LockHolder&) const = default;
};

// flock(2) on the file itself. It ends with the process, however that ends, so it is never stale.
// Where the file system has none (some network file systems), a file "<path>.lock" that names its
// holder: one of this host that no longer runs, or of an earlier boot of it, is stale and taken
// over; of another host that cannot be known, so the message says how to go on.
class FileLock {
 public:
  enum class Kind { kFlock, kLockFile };

  // Locks the file of descriptor `fd`, open for writing at `path`, without waiting. Throws Error:
  // "<path> is being written by another run ...". kind: what to try first, for tests.
  FileLock(int fd, const std::string& path, Kind kind = Kind::kFlock);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  Kind kind() const { return lock_file_.empty() ? Kind::kFlock : Kind::kLockFile; }

 private:
  std::string lock_file_;  // empty: flock
};

// This process.
LockHolder this_process();

// What a lock file holds; none if it is no lock file of ours.
std::string lock_file_text(const LockHolder& holder);
std::optional<LockHolder> parse_lock_file(const std::string& text);

}  // namespace prefold
