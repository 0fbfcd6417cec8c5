#include "io/input_paths.h"

#include <doctest/doctest.h>

#include <functional>

#include "base/error.h"
#include "io/test_files.h"

namespace prefold {
namespace {

using Paths = std::vector<std::string>;

TEST_CASE("a pattern stands for the files that match, in order of their names") {
  TestFiles folder;
  for (const char* name :
       {"b.jsonl", "a10.jsonl", "a9.jsonl", "B.jsonl", ".hidden.jsonl", "x.txt"}) {
    folder.write(name, "");
  }
  CHECK(expand_input_paths({folder.path("*.jsonl")}) ==
        Paths{folder.path("B.jsonl"), folder.path("a10.jsonl"), folder.path("a9.jsonl"),
              folder.path("b.jsonl")});
  CHECK(expand_input_paths({folder.path("a?.jsonl")}) == Paths{folder.path("a9.jsonl")});
  CHECK(expand_input_paths({folder.path("[ab].jsonl"), "-", folder.path("x.txt")}) ==
        Paths{folder.path("b.jsonl"), "-", folder.path("x.txt")});
}

TEST_CASE("other paths stand for themselves, whether they exist or not") {
  CHECK(expand_input_paths({"-", "no/such/file", "a{b,c}", "~/x"}) ==
        Paths{"-", "no/such/file", "a{b,c}", "~/x"});
  CHECK(expand_input_paths({}).empty());
}

TEST_CASE("a file whose name really has those characters wins") {
  TestFiles folder;
  folder.write("a1", "");
  folder.write("a*", "");
  folder.write("[1]", "");
  CHECK(expand_input_paths({folder.path("a*")}) == Paths{folder.path("a*")});
  CHECK(expand_input_paths({folder.path("[1]")}) == Paths{folder.path("[1]")});
}

TEST_CASE("a pattern without a match, and a file named twice, are errors that name them") {
  TestFiles folder;
  folder.write("a", "");
  CHECK(error_of([&] { expand_input_paths({folder.path("*.jsonl")}); }) ==
        "cannot read " + folder.path("*.jsonl") +
            ": no file has this name or matches this pattern");
  CHECK(error_of([&] {
          expand_input_paths({folder.path("a"), folder.path("?")});
        }) == "the input " + folder.path("a") + " is given twice, by " + folder.path("a") +
                  " and by " + folder.path("?"));
}

}  // namespace
}  // namespace prefold
