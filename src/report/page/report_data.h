// What the page shows of a report, checked: numbers are finite and not negative, arrays that belong
// together equally long, and not too long to draw. Texts are as they stand in the file: whoever
// writes them anywhere escapes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace prefold {

// One point of steps.series.
struct SeriesPoint {
  double end_s = 0;
  double n_steps = 0;
  double prefill_tokens = 0;
  double decode_tokens = 0;
  double live_requests = 0;
  double kv_blocks = 0;
};

struct DurationData {
  double count = 0, mean = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;  // ms
  // Ascending: this many took more than the entry before and at most so long.
  std::vector<std::pair<double, double>> histogram;  // ms, requests; empty: not in the report
};

// One node of prefix_forest.
struct ForestNode {
  int32_t parent = -1;  // an earlier one; -1: none
  double depth = 0;     // tokens before it
  double tokens = 0;
  double prompts = 0;
  double first_request = 0;
  double hidden_nodes = 0;   // below it and not listed
  double hidden_tokens = 0;  // of those, each once
};

struct ReportData {
  std::string file;
  std::string model, architecture, cpu, isa, gpu;
  double threads = 0;
  double n_requests = 0, n_succeeded = 0, n_failed = 0;
  double prompt_tokens = 0, ideal_tokens = 0, computed_tokens = 0, reused_tokens = 0;
  double recomputed_tokens = 0, output_tokens = 0, padding_tokens = 0;
  double load_s = 0, plan_s = 0, run_s = 0, total_s = 0;
  double wait_percent = 0;
  std::vector<std::pair<std::string, double>> op_s;  // empty: not measured
  double requests_per_s = 0, prompt_tokens_per_s = 0, output_tokens_per_s = 0;
  DurationData ttft, latency;
  double peak_rss_bytes = 0, peak_kv_bytes = 0, kv_pool_bytes = 0;
  double kv_pool_blocks = 0;
  double n_steps = 0, mean_step_tokens = 0, max_step_tokens = 0, peak_live = 0, n_yields = 0;
  std::vector<SeriesPoint> series;
  std::vector<ForestNode> forest;  // empty: not in the report
  double token_budget = 0;         // 0: not in the report
  std::vector<std::pair<std::string, std::string>> options;
};

// Throws FormatError naming the file, the key, its value and what was wanted, also for a report of
// another schema.
ReportData read_report_data(const std::string& file, std::string_view text);

}  // namespace prefold
