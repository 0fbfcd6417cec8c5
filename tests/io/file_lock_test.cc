#include "io/file_lock.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "io/test_files.h"

namespace prefold {
namespace {

std::string lock_error(const std::string& path, FileLock::Kind kind) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT, 0666);
  REQUIRE(fd >= 0);
  std::string message = "no error";
  try {
    const FileLock lock(fd, path, kind);
  } catch (const Error& error) {
    message = error.what();
  }
  close(fd);
  return message;
}

// A process that has ended, so that nobody runs under its number and start.
LockHolder dead_process() {
  LockHolder holder = this_process();
  const pid_t child = fork();
  if (child == 0) _exit(0);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  holder.pid = child;
  return holder;
}

}  // namespace

TEST_CASE("a lock excludes another one, of either kind, until it is given back") {
  for (const auto kind : {FileLock::Kind::kFlock, FileLock::Kind::kLockFile}) {
    TestFiles folder;
    const std::string path = folder.write("out", "");
    {
      const int fd = open(path.c_str(), O_WRONLY);
      const FileLock lock(fd, path, kind);
      CHECK(lock.kind() == kind);
      CHECK(lock_error(path, kind) == path + " is being written by another run");
      close(fd);
    }
    CHECK(lock_error(path, kind) == "no error");
    CHECK_FALSE(std::filesystem::exists(path + ".lock"));
  }
}

TEST_CASE("a lock file whose holder no longer runs is taken over") {
  TestFiles folder;
  const std::string path = folder.write("out", "");
  const auto kind = FileLock::Kind::kLockFile;
  folder.write("out.lock", lock_file_text(dead_process()));
  CHECK(lock_error(path, kind) == "no error");
  LockHolder before_boot = this_process();  // the same number, but of an earlier boot
  before_boot.boot_id = "0";
  folder.write("out.lock", lock_file_text(before_boot));
  CHECK(lock_error(path, kind) == "no error");
  LockHolder reused = this_process();  // a pid that was given out again
  reused.start_ticks -= 1;
  folder.write("out.lock", lock_file_text(reused));
  CHECK(lock_error(path, kind) == "no error");
}

TEST_CASE("a lock of another host, or one that says nothing, is left to the user") {
  TestFiles folder;
  const std::string path = folder.write("out", "");
  const auto kind = FileLock::Kind::kLockFile;
  LockHolder other = this_process();
  other.host = "elsewhere";
  other.pid = 77;
  folder.write("out.lock", lock_file_text(other));
  CHECK(lock_error(path, kind) ==
        path + " may be being written by another run: " + path +
            ".lock was made by process 77 on elsewhere, and from here it cannot be known whether "
            "that still runs; if it does not, delete " +
            path + ".lock");
  folder.write("out.lock", "?");
  CHECK(lock_error(path, kind).find("was made by something else") != std::string::npos);
}

TEST_CASE("what a lock file says is read back, and nothing else is") {
  const LockHolder self = this_process();
  CHECK(self.pid == getpid());
  CHECK(self.start_ticks > 0);
  CHECK(parse_lock_file(lock_file_text(self)) == self);
  for (const char* text : {"", "{", "[]", R"({"schema":"prefold-lock/1","pid":"7"})"}) {
    CHECK_FALSE(parse_lock_file(text).has_value());
  }
}

}  // namespace prefold
