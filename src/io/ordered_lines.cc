#include "io/ordered_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "io/durable_file.h"
#include "io/line_scan.h"

namespace prefold {
namespace {

constexpr mode_t kFileMode = 0666;

// Room that what was written already may take up in the file before it is given back.
constexpr int64_t kMaxSpentBytes = int64_t{64} << 20;

// A line of the file is its place, a tab and the result line.
struct Record {
  int64_t place = 0;
  size_t n_prefix_bytes = 0;
  ResultHead head;
};

std::optional<Record> read_record(const ScannedLine& line) {
  if (!line.has_end || line.has_zero_byte || line.last_byte != '}') return std::nullopt;
  const size_t tab = line.head.find('\t');
  if (tab == std::string_view::npos) return std::nullopt;
  Record record;
  const auto [end, error] = std::from_chars(line.head.data(), line.head.data() + tab, record.place);
  if (error != std::errc() || end != line.head.data() + tab || record.place < 0) {
    return std::nullopt;
  }
  record.n_prefix_bytes = tab + 1;
  const std::optional<ResultHead> head = read_result_head(line.head.substr(tab + 1));
  if (!head) return std::nullopt;
  record.head = *head;
  return record;
}

}  // namespace

OrderedLines::OrderedLines(OutputFile& output, std::string path, int64_t n_written)
    : output_(output), path_(std::move(path)), n_written_(n_written) {}

void OrderedLines::open_file() {
  output_.begin();  // which deletes what another job may have left
  const std::string folder = std::filesystem::temp_directory_path().string();
  const std::string name = path_.empty() ? folder : path_;
  const int fd = path_.empty()
                     ? open(folder.c_str(), O_RDWR | O_APPEND | O_TMPFILE | O_CLOEXEC, kFileMode)
                     : open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) throw Error(fmt::format("cannot write {}: {}", name, std::strerror(errno)));
  file_ = std::make_unique<AppendFile>(name, fd, true);
  if (!path_.empty()) sync_folder_of(path_);
}

void OrderedLines::load(const std::function<void(const ResultHead& head)>& on_line) {
  if (path_.empty() || access(path_.c_str(), F_OK) != 0) return;
  int64_t n_whole_bytes = 0;
  scan_lines(path_, [&](const ScannedLine& line) {
    if (line.has_end) n_whole_bytes = line.offset + line.n_bytes + 1;
    const std::optional<Record> record = read_record(line);
    if (!record || record->place < n_written_ || has(record->place)) return;
    const auto idx = static_cast<size_t>(record->place - n_written_);
    if (idx >= waiting_.size()) waiting_.resize(idx + 1);
    const auto n_prefix = static_cast<int64_t>(record->n_prefix_bytes);
    waiting_[idx] = {line.offset + n_prefix, line.n_bytes - n_prefix};
    ++n_waiting_;
    on_line(record->head);
  });
  open_file();
  if (n_whole_bytes < file_->n_bytes()) file_->truncate(n_whole_bytes);
}

bool OrderedLines::has(int64_t place) const {
  if (place < n_written_) return true;
  const int64_t idx = place - n_written_;
  return idx < std::ssize(waiting_) && waiting_[static_cast<size_t>(idx)].offset >= 0;
}

void OrderedLines::write(int64_t place, std::string_view line) {
  CHECK(!has(place));
  if (place == n_written_) {
    output_.append_line(line);
    ++n_written_;
    if (!waiting_.empty()) waiting_.pop_front();
    write_those_whose_turn_it_is();
    return;
  }
  if (file_ == nullptr) open_file();
  const std::string prefix = fmt::format("{}\t", place);
  const auto idx = static_cast<size_t>(place - n_written_);
  if (idx >= waiting_.size()) waiting_.resize(idx + 1);
  waiting_[idx] = {file_->end() + std::ssize(prefix), std::ssize(line)};
  ++n_waiting_;
  if (file_->append_line(prefix + std::string(line))) file_->flush();
}

void OrderedLines::write_those_whose_turn_it_is() {
  while (!waiting_.empty() && waiting_.front().offset >= 0) {
    output_.append_line(read_back(waiting_.front()));
    waiting_.pop_front();
    ++n_written_;
    --n_waiting_;
  }
  if (n_waiting_ == 0 && file_ != nullptr && file_->n_bytes() > kMaxSpentBytes) {
    output_.sync();  // first, or a loss of power could take both
    file_->flush();
    file_->truncate(0);
  }
}

std::string OrderedLines::read_back(const Waiting& waiting) {
  if (file_->has_buffered()) file_->flush();
  std::string line(static_cast<size_t>(waiting.n_bytes), '\0');
  for (size_t n_read = 0; n_read < line.size();) {
    const ssize_t n = pread(file_->fd(), line.data() + n_read, line.size() - n_read,
                            waiting.offset + static_cast<off_t>(n_read));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) file_->fail("cannot read", errno);
    if (n == 0) {
      throw Error(fmt::format("{} was changed while this run was using it", file_->name()));
    }
    n_read += static_cast<size_t>(n);
  }
  return line;
}

void OrderedLines::flush() {
  write_those_whose_turn_it_is();
  if (file_ != nullptr) file_->flush();
  output_.flush();
}

void OrderedLines::sync() {
  flush();
  if (file_ != nullptr) file_->sync();
  output_.sync();
}

bool OrderedLines::is_synced() const {
  return output_.is_synced() && (file_ == nullptr || file_->is_synced());
}

void OrderedLines::remove_file() {
  CHECK(n_waiting_ == 0);
  if (file_ != nullptr && !path_.empty() && unlink(path_.c_str()) != 0 && errno != ENOENT) {
    file_->fail("cannot delete", errno);
  }
  file_.reset();
}

}  // namespace prefold
