// One report of the reports of a divided job's shards.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

namespace prefold {

struct ShardReport {
  int32_t shard = 0;
  double predicted_s = 0;
  nlohmann::ordered_json report;  // as read_report returns it
};

// A report that a run wrote. Throws Error naming the file, the key and what was wanted.
nlohmann::ordered_json read_report(const std::string& path);

// docs/formats.md says what each key of a report becomes: sums, the longest times, the highest
// peaks, what all shards agree on. Series of steps and the prefix forest are left to the shards'
// own reports.
nlohmann::ordered_json merge_reports(std::span<const ShardReport> shards);

}  // namespace prefold
