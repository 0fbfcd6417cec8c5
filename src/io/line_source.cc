#include "io/line_source.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace prefold {
namespace {

constexpr size_t kChunkBytes = 256 * 1024;
constexpr size_t kKeptOfLongLine = 4096;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// stat and access only: opening a named pipe here and closing it again would break its writer.
void check_readable(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || access(path.c_str(), R_OK) != 0) {
    throw Error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  if (S_ISDIR(status.st_mode)) {
    throw Error(
        fmt::format("cannot read {0}: it is a directory; name its files, e.g. '{0}/*.jsonl'",
                    path.ends_with('/') ? path.substr(0, path.size() - 1) : path));
  }
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

}  // namespace

LineSource::LineSource(std::vector<std::string> paths, size_t max_line_bytes)
    : paths_(std::move(paths)), max_line_bytes_(max_line_bytes), chunk_(kChunkBytes) {
  if (std::count(paths_.begin(), paths_.end(), "-") > 1) {
    throw Error("standard input (-) can be given only once");
  }
  for (const std::string& path : paths_) {
    if (path != "-") check_readable(path);
  }
}

bool LineSource::next(InputLine& line) {
  while (bytes_ != nullptr || open_next_file()) {
    std::string_view text;
    bool too_long = false;
    if (!read_line(text, too_long)) {
      bytes_.reset();
      continue;
    }
    line_number_ += 1;
    if (at_file_start_ && text.starts_with(kByteOrderMark)) {
      text.remove_prefix(kByteOrderMark.size());
    }
    at_file_start_ = false;
    if (!too_long && text.ends_with('\r')) text.remove_suffix(1);
    if (!too_long && is_blank(text)) continue;
    if (std::optional<SourceMarker> marker = read_source_marker(text)) {
      file_ = marker->source.file;
      line_number_ = marker->source.line - 1;
      marker_ = std::move(*marker);
      continue;
    }
    line = {{file_, line_number_, marker_.source.repeats_id},
            text,
            too_long || marker_.too_long,
            max_line_bytes_};
    marker_ = {};
    return true;
  }
  return false;
}

std::vector<FileDigest> LineSource::digests() const {
  std::vector<FileDigest> digests;
  for (const FingerprintStream& bytes : digests_) digests.push_back(digest_of(bytes));
  return digests;
}

bool LineSource::open_next_file() {
  if (n_opened_ == paths_.size()) return false;
  const std::string& path = paths_[n_opened_++];
  bytes_ = open_byte_source(path, &digests_.emplace_back());
  file_ = path == "-" ? "stdin" : path;
  line_number_ = 0;
  at_file_start_ = true;
  marker_ = {};
  chunk_begin_ = chunk_end_ = 0;
  return true;
}

bool LineSource::refill() {
  chunk_begin_ = 0;
  chunk_end_ = bytes_->read(chunk_.data(), chunk_.size());
  return chunk_end_ > 0;
}

// A line inside one chunk is returned in place; one that spans chunks is put together in carry_,
// which stops growing at the limit while the rest of the line is skipped.
bool LineSource::read_line(std::string_view& text, bool& too_long) {
  carry_.clear();
  bool spans_chunks = false;
  while (chunk_begin_ < chunk_end_ || refill()) {
    const char* begin = chunk_.data() + chunk_begin_;
    const size_t n_left = chunk_end_ - chunk_begin_;
    const void* end = std::memchr(begin, '\n', n_left);
    const size_t n =
        end != nullptr ? static_cast<size_t>(static_cast<const char*>(end) - begin) : n_left;
    chunk_begin_ += end != nullptr ? n + 1 : n;
    text = {begin, n};
    if (end == nullptr || spans_chunks) {
      too_long = too_long || n > max_line_bytes_ - carry_.size();
      if (!too_long) carry_.append(text);
      text = carry_;
      spans_chunks = true;
    }
    if (end != nullptr) break;
  }
  if (!spans_chunks && text.data() == nullptr) return false;
  too_long = too_long || text.size() > max_line_bytes_;
  if (too_long) text = text.substr(0, kKeptOfLongLine);
  return true;
}

}  // namespace prefold
