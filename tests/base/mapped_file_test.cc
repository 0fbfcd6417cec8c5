#include "base/mapped_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <utility>

#include "base/error.h"
#include "temp_file.h"

namespace prefold {
namespace {

std::string message_of(const std::string& path) {
  try {
    const MappedFile file(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

size_t resident_pages() {
  std::ifstream statm("/proc/self/statm");
  size_t n_total = 0, n_resident = 0;
  statm >> n_total >> n_resident;
  REQUIRE(statm.good());
  return n_resident;
}

TEST_CASE("a mapped file shows its bytes, also after a move") {
  const TempFile temp("hello, weights");
  MappedFile file(temp.path());
  CHECK(file.path() == temp.path());
  CHECK(text_of(file) == "hello, weights");
  MappedFile moved = std::move(file);
  CHECK(text_of(moved) == "hello, weights");
  const TempFile other("other");
  moved = MappedFile(other.path());
  CHECK(text_of(moved) == "other");
}

TEST_CASE("what cannot be mapped is refused with path and reason") {
  CHECK(message_of("/nonexistent/model.gguf") ==
        "/nonexistent/model.gguf: cannot open: No such file or directory");
  CHECK(message_of("/tmp") == "/tmp: is a directory, not a file");
  CHECK(message_of("/dev/null") == "/dev/null: is not a regular file and cannot be mapped");
  const TempFile empty("");
  CHECK(message_of(empty.path()) == empty.path() + ": is empty");

  const TempFile secret("x");
  REQUIRE(chmod(secret.path().c_str(), 0) == 0);
  if (geteuid() != 0) {  // root may read everything
    CHECK(message_of(secret.path()) == secret.path() + ": cannot open: Permission denied");
  }
  const std::string fifo = empty.path() + ".fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(message_of(fifo) == fifo + ": is not a regular file and cannot be mapped");
  unlink(fifo.c_str());
}

TEST_CASE("dropping frees resident memory and keeps the content readable") {
  const size_t n_bytes = size_t{16} << 20;
  std::string content(n_bytes, '\0');
  for (size_t i = 0; i < n_bytes; i += 512) content[i] = static_cast<char>(i >> 9);
  const TempFile temp(content);
  const MappedFile file(temp.path());
  CHECK(text_of(file) == content);  // touches every page
  const size_t before = resident_pages();
  file.drop(1, n_bytes - 2);
  const size_t after = resident_pages();
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  CHECK(before > after + n_bytes / page / 2);
  CHECK(text_of(file) == content);
  file.drop(0, 10);  // less than a page: nothing to do
  file.drop(n_bytes, 0);
}

}  // namespace
}  // namespace prefold
