// A tokenizer.json that anyone may have written: it is refused with a FormatError or it works.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/hf_tokenizer.h"

using namespace prefold;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  constexpr int32_t kRows = 4096;
  constexpr std::string_view kTexts[] = {"Hello  world's 1234 tokens!\r\n\n",
                                         "e\xcc\x81 \xef\xac\x81 \xe2\x96\x81\xe6\x96\x87<s>\t", "",
                                         " ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  const std::string_view document(reinterpret_cast<const char*>(data), n_bytes);
  try {
    const Tokenizer tokenizer(read_hf_tokenizer({"fuzz", document, "config", ""}, kRows));
    for (const std::string_view text : kTexts) {
      const std::vector<int32_t> ids = tokenizer.encode(text, true, true);
      for (const int32_t id : ids) CHECK(id >= 0 && id < tokenizer.vocab_size());
      tokenizer.decode(ids, true);
    }
  } catch (const FormatError&) {
  } catch (const RequestError&) {
  }
  return 0;
}
