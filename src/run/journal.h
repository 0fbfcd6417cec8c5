// What a job is, kept beside its output so that a later run can tell whether it continues the same
// job (docs/formats.md). What is finished is not in here: the results file says that.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io/file_digest.h"
#include "run/options.h"

namespace prefold {

struct JournalInput {
  std::string path;   // as given
  FileDigest digest;  // known once the file has been read
};

struct Journal {
  int64_t created_unix_s = 0;  // the job's start: `created` of result lines
  std::vector<JournalInput> inputs;
  std::string model_digest;
  nlohmann::ordered_json answers;  // run/answer_options
  bool ordered = false;
  // What prompts and answers may have at most, and the KV blocks that one may need: of the run that
  // began the job. Where no option says, they depend on the memory that was free then.
  int32_t max_model_len = 0;
  int32_t kv_blocks = 0;
  // Of the inputs, once all have been read; until then no line has been answered, and the output
  // holds nothing but error lines.
  std::optional<int64_t> n_lines;
};

// Where the journal of an output is, and the lines that --ordered lets wait.
std::string journal_path(const std::string& output);
std::string waiting_path(const std::string& output);

// None: there is no such file. Throws FormatError naming the file, the key and its value.
std::optional<Journal> read_journal(const std::string& path);

// Whole or not at all. Throws Error naming the file.
void write_journal(const std::string& path, const Journal& journal);

// What stands in the way of `now` continuing the job of `begun`, one sentence each: inputs by name
// (their content is the caller's matter), model, options that can change answers, order.
std::vector<std::string> differences(const Journal& begun, const Journal& now);

}  // namespace prefold
