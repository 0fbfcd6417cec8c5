#include "io/finished_lines.h"

namespace prefold {

void FinishedLines::add(const ResultHead& head) {
  (head.failed ? failures_ : answers_).insert(head.written_id);
}

bool FinishedLines::has_answer(std::string_view id) const {
  return answers_.contains(written_id(id));
}

bool FinishedLines::has_failure(std::string_view id) const {
  return failures_.contains(written_id(id));
}

}  // namespace prefold
