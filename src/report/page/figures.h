// The pictures of the page, each a section with its heading, the SVG and its numbers as a table.
#pragma once

#include <string>
#include <vector>

#include "report/page/report_data.h"

namespace prefold {

using Runs = std::vector<ReportData>;  // one or two

std::string tokens_figure(const Runs& runs);       // prompt tokens: all, distinct, computed; output
std::string time_figure(const Runs& runs);         // by phase
std::string ops_figure(const Runs& runs);          // by op
std::string steps_figure(const Runs& runs);        // tokens per step over time
std::string kv_figure(const Runs& runs);           // KV memory over time
std::string running_figure(const Runs& runs);      // requests in flight over time
std::string durations_figure(const Runs& runs);    // first tokens and whole answers
std::string forest_figure(const ReportData& run);  // what prompts share

}  // namespace prefold
