// prefold report: reports of runs as a page with pictures.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "commands.h"
#include "report/page/page.h"

namespace prefold {
namespace {

constexpr std::uintmax_t kMaxReportBytes = 64 << 20;  // one of a run is below 1 MB

std::string content_of(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw Error(fmt::format("{}: a folder; expected a report of a run (--report)", path));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("{}: cannot be read", path));
  std::string text;
  for (char part[1 << 16]; file.read(part, sizeof part) || file.gcount() > 0;) {
    text.append(part, static_cast<size_t>(file.gcount()));
    if (text.size() > kMaxReportBytes) {
      throw FormatError(fmt::format("{}: larger than {} bytes; expected a report of a run", path,
                                    kMaxReportBytes));
    }
  }
  return text;
}

void write_page(const std::string& path, const std::string& page) {
  if (path == "-") {
    if (std::fwrite(page.data(), 1, page.size(), stdout) != page.size() ||
        std::fflush(stdout) != 0) {
      throw Error("standard output: cannot be written");
    }
    return;
  }
  std::ofstream file(path, std::ios::binary);
  file << page;
  file.close();
  if (!file) throw Error(fmt::format("{}: cannot be written", path));
}

}  // namespace

int report_command(const ReportOptions& options) {
  std::vector<ReportData> runs;
  for (const std::string& path : options.reports) {
    if (options.output != "-" && std::filesystem::weakly_canonical(path) ==
                                     std::filesystem::weakly_canonical(options.output)) {
      throw Error(fmt::format("{}: a report that the page would be written over", path));
    }
    runs.push_back(read_report_data(path, content_of(path)));
  }
  write_page(options.output, report_page(runs));
  return 0;
}

}  // namespace prefold
