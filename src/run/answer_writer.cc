#include "run/answer_writer.h"

#include <utility>

#include "run/result_builder.h"

namespace prefold {

AnswerWriter::AnswerWriter(const PreparedJob& prepared, const PrefixTree& tree,
                           const Tokenizer& tokenizer, ResultFormat format, JobOutput& output,
                           StopControl& stop)
    : prepared_(prepared),
      tree_(tree),
      tokenizer_(tokenizer),
      format_(std::move(format)),
      output_(output),
      stop_(stop) {}

void AnswerWriter::write(std::span<std::vector<FinishedAnswer>> steps) {
  for (std::vector<FinishedAnswer>& step : steps) {
    for (FinishedAnswer& answer : step) {
      build_results(std::move(answer), prepared_, tree_, tokenizer_,
                    [&](int32_t request, const Request& asked, const Result& result) {
                      write_result(request, asked, result);
                    });
    }
  }
  output_.flush();
  output_.sync_now_and_then();
  stop_.drop_unwritten(std::ssize(steps));
}

void AnswerWriter::write_result(int32_t request, const Request& asked, const Result& result) {
  const int64_t line_idx = prepared_.line_of[request];
  if (!asked.embedding) {
    output_.write(line_idx, format_result(asked, result, format_));
  } else if (const std::optional<Result> whole = embeddings_.add(prepared_, request, result)) {
    output_.write(line_idx, format_result(asked, *whole, format_));
  }
}

}  // namespace prefold
