#include "run/extra_field_counts.h"

#include <fmt/format.h>

#include "io/json_line.h"
#include "plan/plan_table.h"

namespace prefold {

void ExtraFieldCounts::add(const Request& request) {
  if (request.n_extra_fields == 0) return;
  const bool is_short = request.kind == LineKind::kShort;
  const auto& members =
      (is_short ? request.metadata : request.beside_body).get_ref<const Json::object_t&>();
  for (auto field = members.end() - request.n_extra_fields; field != members.end(); ++field) {
    const auto known = lines_.find(field->first);
    if (known != lines_.end()) {
      known->second += 1;
    } else if (lines_.size() < kMostNames) {
      lines_.emplace(field->first, 1);
    } else {
      has_others_ = true;
    }
  }
}

std::string ExtraFieldCounts::to_text() const {
  std::string text;
  for (const auto& [name, n_lines] : lines_) {
    text += fmt::format("{}{} ({} {})", text.empty() ? "" : ", ", show_text(name), grouped(n_lines),
                        n_lines == 1 ? "line" : "lines");
  }
  return has_others_ ? text + " and others" : text;
}

}  // namespace prefold
