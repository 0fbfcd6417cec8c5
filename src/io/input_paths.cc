#include "io/input_paths.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "base/error.h"

namespace prefold {
namespace {

bool is_pattern(const std::string& path) {
  struct stat status {};
  return path.find_first_of("*?[") != std::string::npos && lstat(path.c_str(), &status) != 0;
}

class GlobResult {
 public:
  explicit GlobResult(const std::string& pattern)
      : status_(glob(pattern.c_str(), GLOB_NOSORT | GLOB_ERR, nullptr, &found_)), errno_(errno) {}
  ~GlobResult() { globfree(&found_); }
  GlobResult(const GlobResult&) = delete;
  GlobResult& operator=(const GlobResult&) = delete;

  int status() const { return status_; }
  int error_number() const { return errno_; }
  std::vector<std::string> paths() const {
    return {found_.gl_pathv, found_.gl_pathv + found_.gl_pathc};
  }

 private:
  glob_t found_{};
  int status_;
  int errno_;
};

std::vector<std::string> files_matching(const std::string& pattern) {
  const GlobResult result(pattern);
  if (result.status() == GLOB_NOMATCH) {
    throw Error(
        fmt::format("cannot read {}: no file has this name or matches this pattern", pattern));
  }
  if (result.status() != 0) {
    throw Error(fmt::format("cannot read {}: looking for files that match failed: {}", pattern,
                            std::strerror(result.error_number())));
  }
  std::vector<std::string> paths = result.paths();
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::vector<std::string> expand_input_paths(const std::vector<std::string>& given) {
  std::vector<std::string> paths;
  std::unordered_map<std::string, std::string> named_by;
  const auto add = [&](const std::string& path, const std::string& as_given) {
    const auto [before, is_new] = named_by.emplace(path, as_given);
    if (!is_new) {
      throw Error(fmt::format("the input {} is given twice, by {} and by {}", path, before->second,
                              as_given));
    }
    paths.push_back(path);
  };
  for (const std::string& path : given) {
    if (path == "-") {
      paths.push_back(path);  // a second one is an error of LineSource
    } else if (!is_pattern(path)) {
      add(path, path);
    } else {
      for (const std::string& match : files_matching(path)) add(match, path);
    }
  }
  return paths;
}

}  // namespace prefold
