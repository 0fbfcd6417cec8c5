// Files that the lines of one or several inputs are divided among, each with its name
// (io/source_marker.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/file_digest.h"
#include "io/line_source.h"

namespace prefold {

class ShardFiles {
 public:
  // Makes the files, empty; what was there is gone. Throws Error naming the path. At most 64 MiB
  // (and 16 KiB a file) wait in memory; no file stays open, however many there are.
  explicit ShardFiles(std::vector<std::string> paths);

  // The line goes to the end of a file, as it was read, behind a marker unless it follows the
  // file's last one. Of one that is too long only the beginning, marked. Throws Error.
  void add(int32_t file, const InputLine& line);

  // All lines are on the disk; what the files hold. Nothing may be added after.
  std::vector<FileDigest> finish();

 private:
  struct File {
    std::string path;
    std::string waiting;
    SourceLine last;
    FingerprintStream bytes;
  };

  void write(File& file);

  std::vector<File> files_;
  size_t max_waiting_bytes_;  // of a file
};

}  // namespace prefold
