// The parts of shards' reports that count things by size, added up.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "report/merged_report.h"

namespace prefold {

// Of "ttft_ms" or "latency_ms", each counted from its shard's own first step. Quantiles come from
// the histograms, whose buckets are the same (report/log_histogram.h) but for the last one's end:
// they are off by at most 2.2 %.
nlohmann::ordered_json merged_durations(std::span<const ShardReport> shards,
                                        const std::string& key);

// steps.tokens_per_step.histogram
nlohmann::ordered_json merged_step_histogram(std::span<const ShardReport> shards);

// output_lengths as one run would have written them, so that they can be a --length-prior.
nlohmann::ordered_json merged_output_lengths(std::span<const ShardReport> shards);

}  // namespace prefold
