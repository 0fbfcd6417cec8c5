// From finished answers to result lines in the output; on the writer's thread.
#pragma once

#include <span>
#include <vector>

#include "io/result_writer.h"
#include "run/answers.h"
#include "run/embedding_lines.h"
#include "run/job_output.h"
#include "run/stop_control.h"

namespace prefold {

class AnswerWriter {
 public:
  // All must outlive this.
  AnswerWriter(const PreparedJob& prepared, const PrefixTree& tree, const Tokenizer& tokenizer,
               ResultFormat format, JobOutput& output, StopControl& stop);

  // Writes the answers that were finished in these steps and hands them to the kernel, syncs now
  // and then, and takes the steps off what `stop` counts as unwritten.
  void write(std::span<std::vector<FinishedAnswer>> steps);

 private:
  void write_result(int32_t request, const Request& asked, const Result& result);

  const PreparedJob& prepared_;
  const PrefixTree& tree_;
  const Tokenizer& tokenizer_;
  const ResultFormat format_;
  JobOutput& output_;
  StopControl& stop_;
  EmbeddingLines embeddings_;
};

}  // namespace prefold
