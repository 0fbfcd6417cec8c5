// Input files as a whole: compression, ends of lines, lines that are too long.
#include "base/check.h"
#include "base/error.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/memory_file.h"
#include "io/line_source.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  using namespace prefold;
  constexpr size_t kMaxLineBytes = 100;
  const MemoryFile file(data, n_bytes);
  try {
    LineSource lines({file.path()}, kMaxLineBytes);
    InputLine line;
    int64_t last = 0;
    while (lines.next(line)) {
      CHECK(line.source.line > last);
      CHECK(line.too_long || line.text.size() <= kMaxLineBytes);
      CHECK(line.text.find('\n') == std::string_view::npos);
      last = line.source.line;
    }
  } catch (const Error&) {
  }
  return 0;
}
