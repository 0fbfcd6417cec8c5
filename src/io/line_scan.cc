#include "io/line_scan.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"

namespace prefold {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

// A line that spans chunks: its head is put together in `head`.
struct OpenLine {
  std::string head;
  ScannedLine line;

  void add(std::string_view part) {
    if (part.empty()) return;
    head.append(part.substr(0, kScannedHeadBytes - head.size()));
    line.n_bytes += static_cast<int64_t>(part.size());
    line.last_byte = part.back();
    line.has_zero_byte =
        line.has_zero_byte || std::memchr(part.data(), '\0', part.size()) != nullptr;
  }
};

}  // namespace

void scan_lines(const std::string& path, const std::function<void(const ScannedLine&)>& on_line) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  if (!file && errno == ENOENT) return;
  const auto fail = [&] {
    throw Error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  };
  if (!file) fail();
  std::vector<char> chunk(kChunkBytes);
  OpenLine open;
  const auto close_line = [&](bool has_end) {
    open.line.head = open.head;
    open.line.has_end = has_end;
    on_line(open.line);
    const int64_t next = open.line.offset + open.line.n_bytes + 1;
    open.head.clear();
    open.line = {};
    open.line.offset = next;
  };
  while (const size_t n_read = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
    std::string_view left(chunk.data(), n_read);
    for (size_t end = left.find('\n'); end != std::string_view::npos; end = left.find('\n')) {
      open.add(left.substr(0, end));
      close_line(true);
      left.remove_prefix(end + 1);
    }
    open.add(left);
  }
  if (std::ferror(file.get()) != 0) fail();
  if (open.line.n_bytes > 0) close_line(false);
}

}  // namespace prefold
