#include "base/spill_file.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"

namespace prefold {
namespace {

TEST_CASE("bytes come back as they were, whole or in part") {
  SpillFile file;
  std::vector<std::pair<int64_t, std::string>> kept;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(static_cast<size_t>(i * 7919 % 1000), static_cast<char>(i));
    kept.emplace_back(file.append(bytes), bytes);
  }
  kept.emplace_back(file.append(std::string(1'000'000, 'x')), std::string(1'000'000, 'x'));
  kept.emplace_back(file.append("last"), "last");
  for (const auto& [begin, bytes] : kept) REQUIRE(file.read(begin, bytes.size()) == bytes);
  CHECK(file.read(kept.back().first + 1, 2) == "as");
  CHECK(file.size() == kept.back().first + 4);
}

TEST_CASE("a folder that cannot be written to is named") {
  setenv("TMPDIR", "/no/such/folder", 1);
  SpillFile file;
  file.append("waits in memory");
  std::string message;
  try {
    file.append(std::string(1'000'000, 'x'));
  } catch (const Error& error) {
    message = error.what();
  }
  unsetenv("TMPDIR");
  CHECK(message ==
        "cannot make a temporary file in /no/such/folder (TMPDIR): No such file or directory");
}

}  // namespace
}  // namespace prefold
