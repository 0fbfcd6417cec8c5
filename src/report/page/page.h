// A report as one HTML page with pictures, or two reports compared: nothing is loaded from
// anywhere, nothing in it is a script, and texts of the reports are shown, never obeyed.
#pragma once

#include <string>
#include <vector>

#include "report/page/report_data.h"

namespace prefold {

// `runs`: one or two.
std::string report_page(const std::vector<ReportData>& runs);

}  // namespace prefold
