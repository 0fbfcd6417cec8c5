// A run that continues what an earlier one began: what it takes over, says and checks.
#pragma once

#include <cstdint>
#include <string>

#include "model/model_file.h"
#include "run/job_output.h"
#include "run/journal.h"
#include "run/options.h"
#include "run/prepared_job.h"

namespace prefold {

// A run's job as the journal has it, but for inputs and order.
Journal journal_of(const RunConfig& config, const ModelFile& model, int64_t now_unix_s);

// What a line may have, and need, goes by the run that began the job: config is changed so.
void take_limits(const Journal& begun, RunConfig& config);

// One line or two for the user.
std::string what_is_kept(const JobOutput& output, const RunConfig& config);

// Once the inputs have been read. Throws Error unless what was begun with --ordered is the inputs'
// first lines, and what fitted the KV cache then fits now.
void check_what_is_kept(const JobOutput& output, const PreparedJob& prepared,
                        const RunConfig& config);

}  // namespace prefold
