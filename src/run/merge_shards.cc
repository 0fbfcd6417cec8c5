#include "run/merge_shards.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "io/durable_file.h"
#include "io/line_source.h"
#include "io/output_file.h"
#include "report/merged_report.h"
#include "report/report.h"
#include "run/shard_results.h"

namespace prefold {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A file of results, read here and there.
class ResultFile {
 public:
  explicit ResultFile(const std::string& path) : path_(path) {
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail(errno);
  }
  ~ResultFile() { close(fd_); }
  ResultFile(const ResultFile&) = delete;
  ResultFile& operator=(const ResultFile&) = delete;

  // The line, valid until the next call.
  std::string_view line(const FileSpan& span) {
    text_.resize(static_cast<size_t>(span.n_bytes));
    for (size_t n_read = 0; n_read < text_.size();) {
      const ssize_t n = pread(fd_, text_.data() + n_read, text_.size() - n_read,
                              static_cast<off_t>(span.offset) + static_cast<off_t>(n_read));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail(errno);
      if (n == 0) throw Error(fmt::format("{} has become shorter while it was read", path_));
      n_read += static_cast<size_t>(n);
    }
    return text_;
  }

 private:
  [[noreturn]] void fail(int error_number) const {
    throw Error(fmt::format("cannot read {}: {}", path_, std::strerror(error_number)));
  }

  std::string path_;
  int fd_ = -1;
  std::string text_;
};

// Lets the process have so many files open, where the system permits it; opening says if not.
void allow_open_files(size_t n_files) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= n_files) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, n_files);
  setrlimit(RLIMIT_NOFILE, &limit);
}

class Merge {
 public:
  Merge(const MergeOptions& options, const std::function<void(const std::string&)>& note)
      : options_(options), note_(note) {
    const std::optional<ShardManifest> manifest = read_manifest(options.folder);
    if (!manifest) {
      throw Error(fmt::format("{} is not there: {} holds no job that was divided to its end",
                              manifest_path(options.folder), options.folder));
    }
    manifest_ = *manifest;
    std::error_code error;
    const bool taken = options.output != "-" && fs::exists(options.output, error) &&
                       fs::file_size(options.output, error) > 0;
    if (taken && !options.overwrite) {
      throw Error(fmt::format("{} is not empty; use --overwrite to replace it", options.output));
    }
  }

  MergeOutcome run() {
    check();
    if (!outcome_.unfinished.empty()) {
      outcome_.status = ExitStatus::kStopped;
      return outcome_;
    }
    if (!options_.report.empty()) read_reports();  // before anything is written
    write();
    if (!options_.report.empty()) write_report();
    if (outcome_.n_failed > 0) outcome_.status = ExitStatus::kSomeFailed;
    return outcome_;
  }

 private:
  int32_t n_shards() const { return static_cast<int32_t>(manifest_.shards.size()); }

  void check() {
    std::vector<std::string> without_journal;
    std::optional<std::pair<int32_t, Json>> first;
    for (int32_t shard = 0; shard < n_shards(); ++shard) {
      ShardResults results = read_shard_results(options_.folder, shard, manifest_);
      const int64_t n_lines = manifest_.shards[shard].n_lines;
      outcome_.n_lines += n_lines;
      outcome_.n_failed += results.n_failed;
      if (results.n_missing > 0) {
        outcome_.unfinished.push_back(
            {shard, n_lines, results.n_missing, std::move(results.first_missing)});
      } else if (!results.answered && n_lines > 0) {
        without_journal.push_back(std::to_string(shard));
      }
      if (results.answered && !first) first = {shard, *results.answered};
      if (results.answered) check_same_options(*first, shard, *results.answered);
      if (options_.ordered) by_line_.push_back(std::move(results.by_line));
    }
    if (!without_journal.empty()) {
      note_(
          fmt::format("no journal beside the results of {} shards ({}{}): whether all were "
                      "answered with the same options is not known",
                      without_journal.size(), without_journal.front(),
                      without_journal.size() > 1 ? ", ..." : ""));
    }
  }

  void check_same_options(const std::pair<int32_t, Json>& first, int32_t shard,
                          const Json& options) const {
    std::string text;
    for (const auto& [name, value] : options.items()) {
      const Json there = first.second.value(name, Json("unknown"));
      if (there != value) text += fmt::format("\n  {}: {}, {}", name, there.dump(), value.dump());
    }
    if (text.empty()) return;
    throw Error(fmt::format("shards {} and {} were answered with different options:{}", first.first,
                            shard, text));
  }

  void write() {
    const bool to_file = options_.output != "-";
    const std::string path = to_file ? options_.output + ".part" : options_.output;
    OutputFile output(path, ExistingOutput::kReplace, {});
    if (options_.ordered) {
      write_in_order(output);
    } else {
      for (int32_t shard = 0; shard < n_shards(); ++shard) {
        if (manifest_.shards[shard].n_lines > 0) write_shard(shard, output);
      }
    }
    output.close();
    if (!to_file) return;
    if (std::rename(path.c_str(), options_.output.c_str()) != 0) {
      throw Error(fmt::format("cannot write {}: {}", options_.output, std::strerror(errno)));
    }
    sync_folder_of(options_.output);
  }

  // Its results as they stand in their file.
  void write_shard(int32_t shard, OutputFile& output) const {
    LineSource lines({shard_results_path(options_.folder, shard)}, SIZE_MAX);
    InputLine line;
    int64_t n_written = 0;
    for (; lines.next(line); ++n_written) output.append_line(line.text);
    if (n_written == manifest_.shards[shard].n_lines) return;
    throw Error(fmt::format("{} has changed while it was read",
                            shard_results_path(options_.folder, shard)));
  }

  void write_in_order(OutputFile& output) {
    const std::vector<int32_t> shard_of_line = read_shard_order(options_.folder, manifest_);
    constexpr size_t kOtherFiles = 32;
    allow_open_files(by_line_.size() + kOtherFiles);
    std::vector<std::unique_ptr<ResultFile>> files(by_line_.size());
    std::vector<size_t> n_written(by_line_.size(), 0);
    for (const int32_t shard : shard_of_line) {
      if (!files[shard]) {
        files[shard] = std::make_unique<ResultFile>(shard_results_path(options_.folder, shard));
      }
      output.append_line(files[shard]->line(by_line_[shard][n_written[shard]++]));
    }
  }

  void read_reports() {
    for (int32_t shard = 0; shard < n_shards(); ++shard) {
      if (manifest_.shards[shard].n_lines == 0) continue;
      reports_.push_back({shard, manifest_.shards[shard].time_s,
                          read_report(shard_report_path(options_.folder, shard))});
    }
  }

  void write_report() const {
    Json merged = merge_reports(reports_);
    merged["options"]["input"] = Json::array();
    for (const ShardInput& input : manifest_.inputs) {
      merged["options"]["input"].push_back(input.path);
    }
    merged["options"]["output"] = options_.output;
    replace_file(options_.report, report_text(merged));
  }

  const MergeOptions& options_;
  const std::function<void(const std::string&)>& note_;
  ShardManifest manifest_;
  MergeOutcome outcome_;
  std::vector<std::vector<FileSpan>> by_line_;  // by shard, with `ordered`
  std::vector<ShardReport> reports_;
};

}  // namespace

MergeOutcome merge_shards(const MergeOptions& options,
                          const std::function<void(const std::string& line)>& note) {
  return Merge(options, note).run();
}

}  // namespace prefold
