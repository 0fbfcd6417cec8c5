// The results of one shard, matched with its lines.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "run/shard_manifest.h"

namespace prefold {

// Where a line stands in a file, without its end.
struct FileSpan {
  int64_t offset = 0;
  int64_t n_bytes = 0;
};

struct ShardResults {
  std::vector<FileSpan> by_line;  // of the shard, in order: the result of each; empty if any lacks
  int64_t n_failed = 0;           // error lines
  int64_t n_missing = 0;
  std::vector<std::string> first_missing;  // ids, at most 3
  std::optional<nlohmann::ordered_json>
      answered;  // by what: the journal's options; none: no journal
};

// Reads the shard's lines and results. What a run that was killed left at the end of the results is
// passed over: the lines that it would have been for are missing. Throws Error: the shard's file is
// not as it was written; a result that is none of its lines', or the second for one of them;
// results of another input or model, by their journal.
ShardResults read_shard_results(const std::string& folder, int32_t shard,
                                const ShardManifest& manifest);

}  // namespace prefold
