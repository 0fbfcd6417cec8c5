// Bytes that are needed again later, kept in a file without a name instead of in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace prefold {

// The file lies in $TMPDIR, else in /var/tmp, exists from the first flush on and goes with this
// object, however the process ends. A quarter of a MiB waits in memory to be written. Several
// threads may read at once, none while one appends.
class SpillFile {
 public:
  SpillFile() = default;
  ~SpillFile();
  SpillFile(SpillFile&& other) noexcept;
  SpillFile& operator=(SpillFile&& other) noexcept;

  // Returns where the bytes begin. Throws Error naming the folder.
  int64_t append(std::string_view bytes);

  // The bytes of one append, or some of them. Throws Error.
  std::string read(int64_t begin, size_t n_bytes) const;

  int64_t size() const { return n_written_ + static_cast<int64_t>(waiting_.size()); }

 private:
  void flush();

  int fd_ = -1;
  int64_t n_written_ = 0;
  std::string waiting_;
};

}  // namespace prefold
