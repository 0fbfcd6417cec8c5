#include "run/shard_results.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "base/error.h"
#include "io/line_scan.h"
#include "io/request_reader.h"
#include "io/result_line.h"
#include "run/journal.h"

namespace prefold {
namespace {

constexpr size_t kShownIds = 3;

// An id, and the how manieth line has it: of the shard, or of its results.
struct IdPlace {
  Fingerprint id;
  int32_t place = 0;

  auto key() const { return std::tuple(id.high, id.low, place); }
  bool operator<(const IdPlace& other) const { return key() < other.key(); }
};

Fingerprint id_fingerprint(std::string_view written) { return fingerprint({0, 0}, written); }

const std::string& id_of(const RequestOrError& read) {
  return std::visit([](const auto& it) -> const std::string& { return it.id; }, read);
}

// The ids that the results must have, sorted.
std::vector<IdPlace> wanted_ids(const std::string& path, const ShardEntry& entry) {
  RequestReader reader({path}, {});
  std::vector<IdPlace> wanted;
  wanted.reserve(entry.n_lines);
  while (const std::optional<RequestOrError> read = reader.next()) {
    wanted.push_back(
        {id_fingerprint(written_id(id_of(*read))), static_cast<int32_t>(wanted.size())});
  }
  if (reader.digests().front() != entry.digest) {
    throw Error(fmt::format("{} is not as it was written: the manifest has its digest", path));
  }
  std::sort(wanted.begin(), wanted.end());
  return wanted;
}

struct FoundResults {
  std::vector<IdPlace> ids;  // sorted
  std::vector<FileSpan> spans;
  int64_t n_failed = 0;
};

FoundResults found_results(const std::string& path) {
  FoundResults found;
  int64_t line_number = 0;
  int64_t first_torn = 0;
  scan_lines(path, [&](const ScannedLine& line) {
    ++line_number;
    const std::optional<ResultHead> head =
        line.has_end && line.last_byte == '}' && !line.has_zero_byte ? read_result_head(line.head)
                                                                     : std::nullopt;
    if (!head) {
      if (first_torn == 0) first_torn = line_number;
      return;
    }
    if (first_torn != 0) {
      throw Error(
          fmt::format("{}:{}: is no result line, and others follow it; a run with --resume "
                      "may mend the file",
                      path, first_torn));
    }
    found.ids.push_back({id_fingerprint(head->written_id), static_cast<int32_t>(found.ids.size())});
    found.spans.push_back({line.offset, line.n_bytes});
    found.n_failed += head->failed ? 1 : 0;
  });
  std::sort(found.ids.begin(), found.ids.end());
  return found;
}

// The id of a result, for a message.
std::string shown_result(const std::string& path, const FileSpan& span) {
  std::string shown;
  scan_lines(path, [&](const ScannedLine& line) {
    if (line.offset != span.offset) return;
    if (const auto head = read_result_head(line.head)) shown = head->written_id;
  });
  return shown;
}

std::vector<std::string> first_ids(const std::string& path, std::vector<int32_t> places) {
  std::sort(places.begin(), places.end());
  places.resize(std::min(places.size(), kShownIds));
  std::vector<std::string> ids;
  RequestReader reader({path}, {});
  for (int32_t place = 0; ids.size() < places.size(); ++place) {
    const std::optional<RequestOrError> read = reader.next();
    if (place == places[ids.size()]) ids.push_back(id_of(*read));
  }
  return ids;
}

std::optional<nlohmann::ordered_json> answered_by(const std::string& results,
                                                  const ShardEntry& entry,
                                                  const std::string& model_digest) {
  const std::string path = journal_path(results);
  const std::optional<Journal> journal = read_journal(path);
  if (!journal) return std::nullopt;
  if (journal->n_lines &&
      (journal->inputs.size() != 1 || journal->inputs.front().digest != entry.digest)) {
    throw Error(fmt::format("{} has answers to other lines than those of its shard, says {}",
                            results, path));
  }
  if (journal->model_digest != model_digest) {
    throw Error(fmt::format("{} was answered by the model {}, says {}; the job was divided for {}",
                            results, journal->model_digest, path, model_digest));
  }
  return journal->answers;
}

}  // namespace

ShardResults read_shard_results(const std::string& folder, int32_t shard,
                                const ShardManifest& manifest) {
  const ShardEntry& entry = manifest.shards[shard];
  const std::string lines_path = shard_path(folder, shard);
  const std::string results_path = shard_results_path(folder, shard);
  const std::vector<IdPlace> wanted = wanted_ids(lines_path, entry);
  const FoundResults found = found_results(results_path);
  ShardResults results;
  results.n_failed = found.n_failed;
  results.by_line.resize(wanted.size());
  std::vector<int32_t> missing;
  auto result = found.ids.begin();
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (result != found.ids.end() && result->id == wanted[i].id) {
      results.by_line[wanted[i].place] = found.spans[result->place];
      ++result;
    } else if (result == found.ids.end() || wanted[i] < IdPlace{result->id, 0}) {
      missing.push_back(wanted[i].place);
    } else {
      break;
    }
  }
  if (result != found.ids.end()) {
    const std::string id = shown_result(results_path, found.spans[result->place]);
    const bool is_wanted = std::any_of(wanted.begin(), wanted.end(),
                                       [&](const IdPlace& it) { return it.id == result->id; });
    throw Error(fmt::format("{}: the result of \"{}\" {}", results_path, id,
                            is_wanted ? "stands there twice" : "is of no line of the shard"));
  }
  results.n_missing = std::ssize(missing);
  if (!missing.empty()) {
    results.by_line.clear();
    results.first_missing = first_ids(lines_path, std::move(missing));
  }
  results.answered = answered_by(results_path, entry, manifest.model_digest);
  return results;
}

}  // namespace prefold
