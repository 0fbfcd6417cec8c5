// Files of --config.
#include "base/check.h"
#include "base/error.h"
#include "fuzz/fuzz_target.h"
#include "io/toml_file.h"
#include "io/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  using namespace prefold;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), n_bytes);
    int64_t last = 0;
    for (const TomlSetting& setting : parse_toml(text, "job.toml")) {
      CHECK(setting.line > last);
      CHECK(!setting.key.empty());
      CHECK(setting.is_array || setting.values.size() == 1);
      for (const TomlValue& value : setting.values) CHECK(is_valid_utf8(value.text));
      last = setting.line;
    }
  } catch (const FormatError&) {
  }
  return 0;
}
