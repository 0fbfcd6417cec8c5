#include "io/result_line.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json_text.h"
#include "io/line_scan.h"

namespace prefold {
namespace {

// What may stand unsynced behind the first damage; with more behind it something else happened.
constexpr int64_t kMaxTornBytes = int64_t{64} << 20;

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// The inside of a JSON string that `text` begins with, behind its first quote.
std::optional<std::string_view> take_string(std::string_view& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      const std::string_view inside = text.substr(0, i);
      text.remove_prefix(i + 1);
      return inside;
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> take_integer(std::string_view& text) {
  const size_t end = text.find_first_not_of("-0123456789");
  if (end == 0 || end == std::string_view::npos) return std::nullopt;
  const std::string_view digits = text.substr(0, end);
  text.remove_prefix(end);
  return digits;
}

// Whole though its line end is missing, as an editor may leave it.
bool is_json_object(const std::string& path, const ScannedLine& line) {
  if (line.last_byte != '}' || line.has_zero_byte) return false;
  if (line.n_bytes <= static_cast<int64_t>(line.head.size())) {
    return nlohmann::json::accept(line.head);
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  std::string text(static_cast<size_t>(line.n_bytes), '\0');
  return file && fseeko(file.get(), line.offset, SEEK_SET) == 0 &&
         std::fread(text.data(), 1, text.size(), file.get()) == text.size() &&
         nlohmann::json::accept(text);
}

// A part of a line as a crash leaves it: begun and without its end, or with bytes of zero.
bool is_torn(const ScannedLine& line) {
  constexpr std::string_view kStart = "{\"id\":";
  if (line.has_zero_byte) return true;
  return !line.has_end && line.head.starts_with(kStart.substr(0, line.head.size()));
}

}  // namespace

std::string written_id(std::string_view id) {
  std::string quoted;
  append_json_string(quoted, id);
  return quoted.substr(1, quoted.size() - 2);
}

std::optional<ResultHead> read_result_head(std::string_view line) {
  if (!take(line, "{\"id\":")) return std::nullopt;
  const bool is_string = take(line, "\"");
  const std::optional<std::string_view> id = is_string ? take_string(line) : take_integer(line);
  if (!id) return std::nullopt;
  if (!take(line, ",\"custom_id\":\"")) {
    if (!line.starts_with(",\"")) return std::nullopt;
    return ResultHead{*id, line.starts_with(",\"error\":{")};
  }
  const std::optional<std::string_view> custom_id = take_string(line);
  if (!custom_id || !take(line, ",\"response\":{\"status_code\":")) return std::nullopt;
  return ResultHead{*custom_id, !line.starts_with("200,")};
}

ResultScan scan_results(const std::string& path,
                        const std::function<void(const ResultHead& head)>& on_line) {
  ResultScan scan;
  int64_t line_number = 0;
  bool after_torn = false;
  scan_lines(path, [&](const ScannedLine& line) {
    ++line_number;
    const std::optional<ResultHead> head = read_result_head(line.head);
    const bool is_blank = line.n_bytes == 0;
    const bool is_whole = head && line.last_byte == '}' && !line.has_zero_byte &&
                          (line.has_end || is_json_object(path, line));
    const int64_t end = line.offset + line.n_bytes + (line.has_end ? 1 : 0);
    if (!is_whole && !is_blank && !is_torn(line)) {
      throw Error(
          fmt::format("{}:{}: no result line of this program: mend or delete it, then "
                      "resume again",
                      path, line_number));
    }
    after_torn = after_torn || (!is_whole && !is_blank);
    if (!after_torn) {
      scan.n_bytes = end;
      scan.lacks_line_end = !line.has_end;
      if (is_whole) {
        ++scan.n_lines;
        on_line(*head);
      }
      return;
    }
    scan.n_torn_bytes = end - scan.n_bytes;
    scan.n_torn_lines += is_whole ? 1 : 0;
    if (is_whole && scan.n_torn_bytes > kMaxTornBytes) {
      throw Error(
          fmt::format("{}: damaged behind byte {}, with more result lines behind it than "
                      "a crash can leave: delete the damaged line, then resume again",
                      path, scan.n_bytes));
    }
  });
  return scan;
}

}  // namespace prefold
