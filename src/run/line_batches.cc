#include "run/line_batches.h"

#include <utility>

#include "base/error.h"

namespace prefold {
namespace {

// Lines are split off one by one, then parsed and tokenised on all threads, this many at a time or
// this many bytes.
constexpr size_t kLinesPerBatch = 512;
constexpr size_t kBytesPerBatch = size_t{8} << 20;

struct BatchLine {
  std::string text;
  InputLine line;
  ReadLine result;
};

// False when no line is left.
bool next_batch(RequestReader& reader, std::vector<BatchLine>& batch) {
  batch.clear();
  batch.reserve(kLinesPerBatch);
  size_t n_bytes = 0;
  InputLine line;
  while (batch.size() < kLinesPerBatch && n_bytes < kBytesPerBatch && reader.next_line(line)) {
    n_bytes += line.text.size();
    batch.push_back({std::string(line.text), line, {}});
  }
  for (BatchLine& kept : batch) kept.line.text = kept.text;  // the texts have stopped moving
  return !batch.empty();
}

ReadLine read_and_tokenise(const RequestReader& reader, const InputLine& line,
                           const LineReading& reading) {
  ReadLine result{reader.read(line), {}, kNoAdapter, false};
  Request* request = std::get_if<Request>(&result.read);
  if (request == nullptr || reading.text == nullptr) return result;
  result.is_finished = reading.finished != nullptr && reading.finished->has_answer(request->id);
  if (result.is_finished) return result;
  try {
    result.adapter = adapter_of(*request, reading.config->options.lora);
    result.prompts = tokenise_request(*request, *reading.text, *reading.config);
  } catch (const RequestError& error) {
    result.read = line_error(std::move(*request), error);
  }
  return result;
}

}  // namespace

bool read_lines(RequestReader& reader, ThreadPool& pool, const LineReading& reading) {
  std::vector<BatchLine> batch;
  while (next_batch(reader, batch)) {
    pool.parallel_for(static_cast<int64_t>(batch.size()), [&](int64_t i, int32_t) {
      batch[i].result = read_and_tokenise(reader, batch[i].line, reading);
    });
    for (BatchLine& line : batch) {
      reader.check_id(line.line.source, line.result.read);
      reading.on_line(line.result);
    }
    reading.on_batch();
    if (reading.should_stop && reading.should_stop()) return false;
  }
  return true;
}

}  // namespace prefold
