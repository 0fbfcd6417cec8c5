// Which input lines have their result line already, by id, in bounded memory.
#pragma once

#include <cstdint>
#include <string_view>

#include "io/fingerprint.h"
#include "io/result_line.h"

namespace prefold {

// Fingerprints of ids: see FingerprintSet for memory. Answers and error lines are apart: the error
// line of a line without a usable id has a name, "<file>:<line>", that another line may have for
// its id.
class FinishedLines {
 public:
  void add(const ResultHead& head);

  // ids: as in the request. From any thread, once all are added.
  bool has_answer(std::string_view id) const;
  bool has_failure(std::string_view id) const;

  int64_t n_answers() const { return answers_.size(); }
  int64_t n_failures() const { return failures_.size(); }
  int64_t size() const { return n_answers() + n_failures(); }

 private:
  FingerprintSet answers_;
  FingerprintSet failures_;
};

}  // namespace prefold
