// The results file: whole lines appended, every write checked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace prefold {

enum class ExistingOutput { kRefuse, kReplace };

class OutputFile {
 public:
  // Opens `path` ("-": standard output) and locks it against other runs. Throws Error naming the
  // path: not writable; the same file as one of input_paths, which appending would never finish
  // reading; locked by another run; or, with kRefuse, a file that is not empty. A file to be
  // replaced keeps its content until the first flush (or close), so that a run that dies early
  // loses nothing.
  OutputFile(const std::string& path, ExistingOutput existing,
             std::span<const std::string> input_paths);
  ~OutputFile();  // drops what was not flushed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Adds a line (without its line end) to the buffer; flushes by itself only past 1 MiB.
  void append_line(std::string_view line);

  // Hands all buffered lines to the kernel in one write(2) (more only if it takes them in parts).
  // Throws Error naming path and reason: disk full, closed pipe (EPIPE; the program must ignore
  // SIGPIPE). A file is then cut back to its last whole line.
  void flush();

  // flush, and return only when a file's data is on its disk.
  void sync();

  // sync, then close. Throws as they do.
  void close();

 private:
  void write_all(std::string_view bytes);
  [[noreturn]] void fail(const char* what, int error_number) const;

  std::string name_;
  int fd_ = -1;
  bool owned_ = false;
  bool is_file_ = false;
  bool replace_pending_ = false;
  int64_t n_written_ = 0;  // bytes of whole lines in a file of ours
  std::string buffer_;
};

}  // namespace prefold
