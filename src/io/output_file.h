// The results file: whole lines appended, every write checked, nobody else writing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "io/file_lock.h"

namespace prefold {

// Whole lines appended to an open file or pipe.
class AppendFile {
 public:
  // name: for messages. The descriptor is closed at the end if `owned`. What a file has already
  // are whole lines.
  AppendFile(std::string name, int fd, bool owned);
  ~AppendFile();  // drops what was not flushed
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Adds a line (without its line end) to the buffer; true once it is past 1 MiB and should be
  // flushed.
  bool append_line(std::string_view line);

  int64_t n_bytes() const { return n_bytes_; }  // that a file should have
  // Where the next line of a file will begin.
  int64_t end() const { return n_bytes_ + static_cast<int64_t>(buffer_.size()); }
  bool has_buffered() const { return !buffer_.empty(); }

  // Hands all buffered lines to the kernel in one write(2) (more only if it takes them in parts).
  // Throws Error naming the file and the reason: disk full, closed pipe (EPIPE; the program must
  // ignore SIGPIPE). A file is then cut back to its last whole line.
  void flush();

  // Returns only when all that was flushed is on the file's disk: fdatasync.
  void sync();
  bool is_synced() const { return !unsynced_; }

  // A file keeps its first n_bytes.
  void truncate(int64_t n_bytes);

  // Takes the file's size as it is now.
  void measure();

  void close();

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }
  bool is_file() const { return is_file_; }
  [[noreturn]] void fail(const char* what, int error_number) const;

 private:
  std::string name_;
  int fd_;
  bool owned_;
  bool is_file_;
  bool unsynced_ = false;
  int64_t n_bytes_;  // in the file
  std::string buffer_;
};

enum class ExistingOutput { kRefuse, kReplace, kContinue };

class OutputFile {
 public:
  // Opens `path` ("-": standard output) and locks it against other runs. Throws Error naming the
  // path: not writable; the same file as one of input_paths, which appending would never finish
  // reading; locked by another run; or, with kRefuse, a file that is not empty. A file to be
  // replaced keeps its content until the first flush (or close), so that a run that dies early
  // loses nothing. With kContinue the caller looks at what is there, then calls keep.
  OutputFile(const std::string& path, ExistingOutput existing,
             std::span<const std::string> input_paths);

  // A regular file under a name of its own, which a later run could continue.
  bool can_be_continued() const { return lock_ != nullptr; }

  // With kContinue: the file keeps its first n_bytes, whole lines, but for the last one's end if
  // `add_line_end`, and goes on behind them. Without this call it is replaced.
  void keep(int64_t n_bytes, bool add_line_end);

  // What is called once, before the first line of a new file is handed to the kernel, or by begin
  // or close.
  void set_on_begin(std::function<void()> on_begin) { on_begin_ = std::move(on_begin); }

  // Empties a file to be replaced, durably; on_begin_ follows. Nothing if that was done.
  void begin();
  bool has_begun() const { return begun_; }

  // Adds a line (without its line end) to the buffer; flushes by itself only past 1 MiB.
  void append_line(std::string_view line);

  // As AppendFile. Throws too if a file is not as this left it: another size, deleted, or another
  // file in its place.
  void flush();
  void sync();
  bool is_synced() const { return file_->is_synced(); }

  // flush, sync, then close. Throws as they do.
  void close();

 private:
  void check_is_in_place() const;

  std::string path_;
  std::unique_ptr<FileLock> lock_;  // given back when the file has been closed
  std::unique_ptr<AppendFile> file_;
  bool begun_ = false;
  std::function<void()> on_begin_;
};

}  // namespace prefold
