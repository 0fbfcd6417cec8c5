// From what was computed to what is written: texts, spellings of tokens, one Result a request.
#pragma once

#include <cstdint>
#include <functional>

#include "run/answers.h"
#include "run/prepared_job.h"

namespace prefold {

// Calls on_result (of an embedding line once for each input) for the leader and then for each
// request that repeats it, with the request as kept_line gives it. Only reads the job, so it may
// run beside the steps.
void build_results(FinishedAnswer answer, const PreparedJob& prepared, const PrefixTree& tree,
                   const Tokenizer& tokenizer,
                   const std::function<void(int32_t request, const Request& asked,
                                            const Result& result)>& on_result);

}  // namespace prefold
