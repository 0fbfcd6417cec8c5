#include "run/shard_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "io/line_source.h"
#include "io/shard_files.h"
#include "io/utf8.h"

namespace prefold {
namespace {

namespace fs = std::filesystem;

// "shard-0007.jsonl", with any ending.
bool is_shard_name(const std::string& name, const std::string& ending) {
  constexpr std::string_view kBegin = "shard-";
  if (!name.starts_with(kBegin) || !name.ends_with(ending)) return false;
  const std::string number = name.substr(kBegin.size(), name.find('.') - kBegin.size());
  return name == fmt::format("{}{}{}", kBegin, number, ending) && !number.empty() &&
         number.find_first_not_of("0123456789") == std::string::npos;
}

std::vector<fs::path> shard_files(const std::string& folder, const std::string& ending) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (is_shard_name(entry->path().filename().string(), ending)) found.push_back(entry->path());
  }
  if (error) throw Error(fmt::format("cannot read {}: {}", folder, error.message()));
  return found;
}

std::string paths_of(const ShardManifest& manifest) {
  std::string text;
  for (const ShardInput& input : manifest.inputs) {
    text += (text.empty() ? "" : ", ") + input.path;
  }
  return text;
}

// One sentence each.
std::vector<std::string> differences(const ShardManifest& there, const ShardManifest& wanted) {
  std::vector<std::string> found;
  const auto compare = [&](const std::string& what, const std::string& is,
                           const std::string& would_be) {
    if (is != would_be) found.push_back(fmt::format("{}: {} there, {} now", what, is, would_be));
  };
  compare("shards", std::to_string(there.shards.size()), std::to_string(wanted.shards.size()));
  compare("inputs", paths_of(there), paths_of(wanted));
  if (paths_of(there) == paths_of(wanted)) {
    for (size_t i = 0; i < there.inputs.size(); ++i) {
      compare("the content of " + there.inputs[i].path, there.inputs[i].digest.digest,
              wanted.inputs[i].digest.digest);
    }
  }
  compare("the model's digest", there.model_digest, wanted.model_digest);
  for (const auto& [name, value] : wanted.options.items()) {
    compare(name, there.options.value(name, nlohmann::ordered_json()).dump(), value.dump());
  }
  return found;
}

}  // namespace

std::vector<ShardInput> shard_inputs(const std::vector<std::string>& paths) {
  std::vector<ShardInput> inputs;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path == "-" || (fs::exists(path, error) && !fs::is_regular_file(path, error))) {
      throw Error(fmt::format("cannot divide {}: it is read twice, so it has to be a file",
                              path == "-" ? "standard input" : path));
    }
    if (!seen.insert(path).second) {
      throw Error(fmt::format("{} is given twice: its lines would have the same names", path));
    }
    if (!is_valid_utf8(path)) {
      throw Error(fmt::format("the name {} is not UTF-8; shards name their lines by it", path));
    }
    inputs.push_back({path, digest_of_file(path)});
  }
  return inputs;
}

ShardFolder::ShardFolder(std::string path) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_, error);
  fd_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0) throw Error(fmt::format("cannot use {}: {}", path_, std::strerror(errno)));
  // Where the file system has no locks this is left to the user.
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(fd_);
    throw Error(fmt::format("another process is dividing a job into {}", path_));
  }
}

ShardFolder::~ShardFolder() { close(fd_); }

bool ShardFolder::holds(const ShardManifest& wanted) const {
  const std::optional<ShardManifest> there = read_manifest(path_);
  if (!there) {
    const std::vector<fs::path> results = shard_files(path_, ".results.jsonl");
    if (results.empty()) return false;
    throw Error(
        fmt::format("{} is there and {} is not: results of another split? Use another "
                    "folder, or move them away",
                    results.front().string(), manifest_path(path_)));
  }
  std::string text;
  for (const std::string& difference : differences(*there, wanted)) text += "\n  " + difference;
  if (!text.empty()) {
    throw Error(
        fmt::format("{} holds another split; use another folder, or delete it:{}", path_, text));
  }
  for (size_t i = 0; i < there->shards.size(); ++i) {
    const std::string file = shard_path(path_, static_cast<int32_t>(i));
    std::error_code error;
    const std::uintmax_t n_bytes = fs::file_size(file, error);
    const int64_t wanted_bytes = there->shards[i].digest.n_bytes;
    if (error) throw Error(fmt::format("cannot read {}: {}", file, error.message()));
    if (n_bytes != static_cast<std::uintmax_t>(wanted_bytes)) {
      throw Error(fmt::format("{} has {} bytes; {} were written", file, n_bytes, wanted_bytes));
    }
  }
  return true;
}

void ShardFolder::write(const std::vector<int32_t>& shard_of_line,
                        const std::vector<int64_t>& repeats_id, ShardManifest manifest) const {
  for (const fs::path& left : shard_files(path_, ".jsonl")) {
    std::error_code error;
    fs::remove(left, error);
    if (error) throw Error(fmt::format("cannot remove {}: {}", left.string(), error.message()));
  }
  std::vector<std::string> inputs;
  for (const ShardInput& input : manifest.inputs) inputs.push_back(input.path);
  std::vector<std::string> outputs;
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    outputs.push_back(shard_path(path_, static_cast<int32_t>(i)));
  }
  ShardFiles files(std::move(outputs));
  LineSource lines(inputs);
  InputLine line;
  size_t n_lines = 0;
  auto next_repeat = repeats_id.begin();
  while (lines.next(line) && n_lines < shard_of_line.size()) {
    if (next_repeat != repeats_id.end() && *next_repeat == static_cast<int64_t>(n_lines)) {
      line.source.repeats_id = true;
      ++next_repeat;
    }
    files.add(shard_of_line[n_lines++], line);
  }
  const std::vector<FileDigest> now = lines.digests();
  for (size_t i = 0; i < manifest.inputs.size(); ++i) {
    if (i < now.size() && now[i] == manifest.inputs[i].digest) continue;
    throw Error(fmt::format("{} has changed while it was being read", manifest.inputs[i].path));
  }
  const std::vector<FileDigest> digests = files.finish();
  for (size_t i = 0; i < digests.size(); ++i) manifest.shards[i].digest = digests[i];
  write_shard_order(path_, shard_of_line);
  write_manifest(path_, manifest);
}

}  // namespace prefold
