// Results of embedding lines, put together from those of their inputs, each a request of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "plan/result.h"
#include "run/prepared_job.h"

namespace prefold {

class EmbeddingLines {
 public:
  // Takes the result of one input, in any order. With a line's last one: the line's result, whose
  // embeddings are in the order of the inputs and whose usage is the sum of theirs.
  std::optional<Result> add(const PreparedJob& prepared, int32_t request, const Result& of_input);

 private:
  struct Pending {
    int32_t n_left = 0;
    Result line;
  };
  std::unordered_map<int32_t, Pending> pending_;  // by the line's first request
};

}  // namespace prefold
