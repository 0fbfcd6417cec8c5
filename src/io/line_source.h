// Lines of text out of input files, one at a time, in bounded memory.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_source.h"
#include "io/file_digest.h"
#include "io/source_marker.h"
#include "plan/request.h"

namespace prefold {

struct InputLine {
  // The file as given on the command line ("-": "stdin"), lines from 1; or as a marker says.
  SourceLine source;
  std::string_view text;  // without its line end; valid until the next call
  bool too_long = false;  // longer than max_bytes, or marked so: text is only how it begins
  size_t max_bytes = 0;
};

class LineSource {
 public:
  static constexpr size_t kDefaultMaxLineBytes = size_t{64} << 20;

  // Files are read in the order given, each opened when its turn comes, but Error is thrown at once
  // for a path that is missing, unreadable or a directory, and for a second "-".
  explicit LineSource(std::vector<std::string> paths, size_t max_line_bytes = kDefaultMaxLineBytes);

  // The next line that is not blank; false at the end of the last file. Lines end in LF or CRLF,
  // the last one may lack its end; a UTF-8 byte order mark at the start of a file is dropped; blank
  // lines count as lines. A marker (io/source_marker.h) is no line, but says what the next ones are
  // called. Throws Error as ByteSource does.
  bool next(InputLine& line);

  // Of the files, in order, as far as they have been read.
  std::vector<FileDigest> digests() const;

 private:
  bool open_next_file();
  bool read_line(std::string_view& text, bool& too_long);
  bool refill();

  std::vector<std::string> paths_;
  size_t max_line_bytes_;
  size_t n_opened_ = 0;
  std::deque<FingerprintStream> digests_;  // of the files opened so far; they stay where they are
  std::unique_ptr<ByteSource> bytes_;
  std::string file_;
  int64_t line_number_ = 0;
  bool at_file_start_ = false;
  SourceMarker marker_;  // its flags: those of the next line

  std::vector<char> chunk_;
  size_t chunk_begin_ = 0;
  size_t chunk_end_ = 0;
  std::string carry_;  // the begun part of a line that spans chunks
};

}  // namespace prefold
