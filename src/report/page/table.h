// Tables of the page, as HTML.
#pragma once

#include <string>
#include <vector>

namespace prefold {

// Rows of equally many cells, the first row their headings, the first cell of each a name. All are
// escaped here.
std::string html_table(const std::vector<std::vector<std::string>>& rows);

// The same folded away below a picture.
std::string folded_table(const std::vector<std::vector<std::string>>& rows);

// <section> with a heading, a sentence (both escaped here), and HTML.
std::string figure_section(const std::string& heading, const std::string& sentence,
                           const std::string& html);

}  // namespace prefold
