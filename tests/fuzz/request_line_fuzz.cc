// Lines of the input: each is a request or an error, and what is written for it is one line of
// JSON.
#include "base/check.h"
#include "fuzz/fuzz_target.h"
#include "io/json_line.h"
#include "io/request_reader.h"
#include "io/result_writer.h"

namespace {

using namespace prefold;

std::string written_for(const RequestOrError& read) {
  if (const auto* error = std::get_if<LineError>(&read)) {
    CHECK(!error->failure.code.empty());
    return format_error(*error);
  }
  const Request& request = std::get<Request>(read);
  Result answer;
  answer.choices.resize(static_cast<size_t>(request.params.n));
  return format_result(request, answer, {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  const InputLine input{{"in.jsonl", 1}, text_of(data, n_bytes), false, n_bytes};
  const std::string line = written_for(read_request(input, SamplingParams{}));
  CHECK(Json::accept(line));
  CHECK(line.find('\n') == std::string::npos);
  return 0;
}
