#include "io/output_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <vector>

#include "base/error.h"
#include "io/test_files.h"

namespace prefold {
namespace {

TEST_CASE("lines are in the file after flush, whole, and not before") {
  TestFiles folder;
  const std::string path = folder.path("out");
  OutputFile output(path, ExistingOutput::kRefuse, {});
  output.append_line("one");
  output.append_line("two");
  CHECK(read_file(path).empty());
  output.flush();
  CHECK(read_file(path) == "one\ntwo\n");
  output.append_line("three");
  output.close();
  CHECK(read_file(path) == "one\ntwo\nthree\n");
}

TEST_CASE("much output leaves the buffer by itself") {
  TestFiles folder;
  OutputFile output(folder.path("out"), ExistingOutput::kRefuse, {});
  const std::string line(400'000, 'x');
  for (int i = 0; i < 3; ++i) output.append_line(line);
  CHECK(read_file(folder.path("out")).size() == 3 * 400'001);
}

TEST_CASE("an existing result is kept unless it may be replaced, and then until the first flush") {
  TestFiles folder;
  const std::string path = folder.write("out", "a night's work\n");
  CHECK(error_of([&] { OutputFile(path, ExistingOutput::kRefuse, {}); }) ==
        path + " exists and is not empty; --resume continues it, --overwrite replaces it");
  { OutputFile dies_early(path, ExistingOutput::kReplace, {}); }
  CHECK(read_file(path) == "a night's work\n");
  {
    OutputFile output(path, ExistingOutput::kReplace, {});
    output.append_line("new");
    CHECK(read_file(path) == "a night's work\n");
    output.flush();
    CHECK(read_file(path) == "new\n");
  }
  OutputFile nothing(path, ExistingOutput::kReplace, {});
  nothing.close();
  CHECK(read_file(path).empty());
  CHECK(error_of([&] { OutputFile(path, ExistingOutput::kRefuse, {}); }) == "no error");
}

TEST_CASE("the output may not be an input, by whatever name") {
  TestFiles folder;
  const std::string input = folder.write("in", "{}\n"), link = folder.path("link");
  std::filesystem::create_hard_link(input, link);
  for (const auto existing : {ExistingOutput::kRefuse, ExistingOutput::kReplace}) {
    const std::vector<std::string> inputs{folder.path("other"), input};
    CHECK(error_of([&] { OutputFile(link, existing, inputs); }) ==
          "the output " + link + " is also an input");
  }
  CHECK(read_file(input) == "{}\n");
}

TEST_CASE("two runs cannot write one output") {
  TestFiles folder;
  const std::string path = folder.path("out");
  {
    OutputFile first(path, ExistingOutput::kRefuse, {});
    CHECK(error_of([&] { OutputFile(path, ExistingOutput::kReplace, {}); }) ==
          path + " is being written by another run");
  }
  CHECK(error_of([&] { OutputFile(path, ExistingOutput::kReplace, {}); }) == "no error");
}

TEST_CASE("outputs that cannot be opened are named with the reason") {
  TestFiles folder;
  const std::string nowhere = folder.path("no/such/folder/out");
  CHECK(error_of([&] { OutputFile(nowhere, ExistingOutput::kRefuse, {}); }) ==
        "cannot write " + nowhere + ": No such file or directory");
  const std::string directory = folder.path(".");
  CHECK(error_of([&] { OutputFile(directory, ExistingOutput::kRefuse, {}); }) ==
        "cannot write " + directory + ": Is a directory");
}

TEST_CASE("a full disk and a closed pipe are errors") {
  if (access("/dev/full", W_OK) == 0) {
    OutputFile full("/dev/full", ExistingOutput::kRefuse, {});
    full.append_line("x");
    CHECK(error_of([&] { full.flush(); }) == "cannot write /dev/full: No space left on device");
  }
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  close(ends[0]);
  const std::string path = fmt::format("/dev/fd/{}", ends[1]);
  OutputFile output(path, ExistingOutput::kRefuse, {});
  output.append_line("x");
  CHECK(error_of([&] { output.flush(); }) == "cannot write " + path + ": Broken pipe");
  close(ends[1]);
}

TEST_CASE("an output that is to be continued keeps what it is told to keep") {
  TestFiles folder;
  const std::string path = folder.write("out", "one\ntwo\nto");
  bool has_begun_anew = false;
  {
    OutputFile output(path, ExistingOutput::kContinue, {});
    output.set_on_begin([&] { has_begun_anew = true; });
    output.keep(8, false);
    output.append_line("three");
    output.close();
    CHECK(read_file(path) == "one\ntwo\nthree\n");
  }
  folder.write("out", "one\ntwo");
  OutputFile output(path, ExistingOutput::kContinue, {});
  output.keep(7, true);
  output.append_line("three");
  output.close();
  CHECK(read_file(path) == "one\ntwo\nthree\n");
  CHECK_FALSE(has_begun_anew);
}

TEST_CASE("a new output begins with an empty file, once, before its first line") {
  TestFiles folder;
  const std::string path = folder.write("out", "old\n");
  OutputFile output(path, ExistingOutput::kReplace, {});
  int n_begun = 0;
  output.set_on_begin([&] {
    ++n_begun;
    CHECK(read_file(path).empty());
  });
  output.append_line("new");
  CHECK(n_begun == 0);
  output.flush();
  output.append_line("newer");
  output.close();
  CHECK(n_begun == 1);
}

TEST_CASE("a file that others change under the run is an error, and nothing is written into it") {
  TestFiles folder;
  const std::string path = folder.path("out");
  const auto after = [&](const std::function<void()>& interfere) {
    std::filesystem::remove(path);
    OutputFile output(path, ExistingOutput::kRefuse, {});
    output.append_line("one");
    output.flush();
    interfere();
    output.append_line("two");
    return error_of([&] { output.flush(); });
  };
  CHECK(after([&] { std::filesystem::resize_file(path, 0); }) ==
        path + " was changed while this run was writing it: it has 0 bytes; 4 were expected");
  CHECK(read_file(path).empty());
  CHECK(after([&] {
          folder.write("out", "one\nand more\n");
        }).starts_with(path + " was changed while"));
  CHECK(after([&] { std::filesystem::remove(path); }) ==
        path + " was deleted or replaced while this run was writing it");
  CHECK(after([&] { std::filesystem::rename(path, path + ".1"); }) ==
        path + " was deleted or replaced while this run was writing it");
  CHECK(read_file(path + ".1") == "one\n");
}

TEST_CASE("a write that fails half way leaves whole lines only") {
  TestFiles folder;
  const std::string path = folder.path("out");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  OutputFile output(path, ExistingOutput::kRefuse, {});
  output.append_line("first");
  output.flush();
  output.append_line("second");
  output.append_line(std::string(100, 'x'));
  const rlimit small{50, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error = error_of([&] { output.flush(); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(error == "cannot write " + path + ": File too large");
  CHECK(read_file(path) == "first\nsecond\n");
}

}  // namespace
}  // namespace prefold
