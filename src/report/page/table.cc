#include "report/page/table.h"

#include <fmt/format.h>

#include "report/page/svg.h"

namespace prefold {

std::string html_table(const std::vector<std::vector<std::string>>& rows) {
  std::string html = "<div class=\"scroll\"><table>";
  for (size_t i = 0; i < rows.size(); ++i) {
    html += i == 0 ? "<thead><tr>" : "<tr>";
    for (size_t k = 0; k < rows[i].size(); ++k) {
      const char* cell = i == 0 ? "th scope=\"col\"" : k == 0 ? "th scope=\"row\"" : "td";
      html += fmt::format("<{}>{}</{}>", cell, html_escaped(rows[i][k]),
                          i == 0 || k == 0 ? "th" : "td");
    }
    html += i == 0 ? "</tr></thead><tbody>" : "</tr>";
  }
  return html + "</tbody></table></div>\n";
}

std::string folded_table(const std::vector<std::vector<std::string>>& rows) {
  return "<details><summary>Numbers</summary>" + html_table(rows) + "</details>\n";
}

std::string figure_section(const std::string& heading, const std::string& sentence,
                           const std::string& html) {
  return fmt::format("<section class=\"card\"><h2>{}</h2><p>{}</p>{}</section>\n",
                     html_escaped(heading), html_escaped(sentence), html);
}

}  // namespace prefold
