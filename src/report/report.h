// Counters to the report: JSON for scripts, a table for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "report/metrics.h"

namespace prefold {

inline constexpr const char* kReportSchema = "prefold-report/1";

// Every key is in docs/formats.md. Numbers are finite: a rate over no time is 0.
nlohmann::ordered_json make_report(const RunMetrics& metrics);

// The JSON as a file's text, indented, with a final line end. Bytes that are not UTF-8 (in paths)
// become U+FFFD.
std::string report_text(const nlohmann::ordered_json& report);

// Lines for a terminal or a log, each ended.
std::string summary_table(const RunMetrics& metrics);

}  // namespace prefold
