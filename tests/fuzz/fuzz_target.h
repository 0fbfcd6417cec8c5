// What a fuzz target is: libFuzzer's entry point, defined by one file NAME_fuzz.cc for inputs of
// its kind. It must end for every input, and end well: an error that the code under test foresees
// is caught in the target, anything else is a finding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes);

namespace prefold {

inline std::string_view text_of(const uint8_t* data, size_t n_bytes) {
  return {reinterpret_cast<const char*>(data), n_bytes};
}

}  // namespace prefold
