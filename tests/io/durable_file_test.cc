#include "io/durable_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "io/test_files.h"

namespace prefold {

TEST_CASE("a file is replaced whole, and nothing else is left beside it") {
  TestFiles folder;
  const std::string path = folder.path("report.json");
  replace_file(path, "one");
  CHECK(read_file(path) == "one");
  replace_file(path, "two");
  CHECK(read_file(path) == "two");
  CHECK_FALSE(std::filesystem::exists(path + ".part"));
}

TEST_CASE("a symbolic link stays one, and its target is replaced") {
  TestFiles folder;
  const std::string target = folder.write("target", "old"), link = folder.path("link");
  std::filesystem::create_symlink(target, link);
  replace_file(link, "new");
  CHECK(std::filesystem::is_symlink(link));
  CHECK(read_file(target) == "new");
}

TEST_CASE("what is no regular file is written to, not replaced") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  replace_file(fmt::format("/dev/fd/{}", ends[1]), "text");
  char text[8] = {};
  CHECK(read(ends[0], text, sizeof(text)) == 4);
  CHECK(std::string(text) == "text");
  close(ends[0]);
  close(ends[1]);
  if (access("/dev/full", W_OK) != 0) return;
  CHECK_THROWS_WITH_AS(replace_file("/dev/full", "x"),
                       "cannot write /dev/full: No space left on device", Error);
}

TEST_CASE("a file that cannot be replaced keeps its content") {
  TestFiles folder;
  const std::string path = folder.path("none/report.json");
  CHECK_THROWS_WITH_AS(replace_file(path, "x"),
                       ("cannot write " + path + ": No such file or directory").c_str(), Error);
}

}  // namespace prefold
