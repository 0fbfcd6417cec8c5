#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "base/error.h"

namespace prefold {
namespace {

template <auto* free_fn>
struct Free {
  template <typename T>
  void operator()(T* pointer) const {
    free_fn(pointer);
  }
};

// What a search writes to: one per thread, shared by all patterns (they capture nothing).
struct SearchState {
  std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>> data{
      pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>> context{
      pcre2_match_context_create(nullptr)};

  SearchState() { CHECK(data != nullptr && context != nullptr); }
};

// An honest pattern takes some steps a byte, so the limit grows with the text: PCRE2's own of ten
// million would be reached by as many spaces.
uint32_t step_limit(size_t n_bytes) {
  constexpr size_t kStepsPerByte = 256;
  return static_cast<uint32_t>(std::min<size_t>(100'000 + kStepsPerByte * n_bytes, UINT32_MAX));
}

SearchState& search_state() {
  thread_local SearchState state;
  return state;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Free<pcre2_code_free>> compiled;
  bool jit = false;
};

Regex::Regex(const std::string& pattern) : code_(std::make_unique<Code>()) {
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  code_->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                      PCRE2_UTF | PCRE2_UCP | PCRE2_NO_START_OPTIMIZE, &error,
                                      &error_offset, nullptr));
  if (code_->compiled == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof(message));
    throw FormatError(fmt::format("the regular expression cannot be compiled: {}",
                                  reinterpret_cast<const char*>(message)));
  }
  code_->jit = pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

bool Regex::find(std::string_view text, size_t offset, Match& match) const {
  SearchState& state = search_state();
  const PCRE2_SPTR subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const pcre2_code* compiled = code_->compiled.get();
  pcre2_set_match_limit(state.context.get(), step_limit(text.size() - offset));
  // Without NO_UTF_CHECK each search would validate the whole text again.
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code_->jit) {
    rc = pcre2_jit_match(compiled, subject, text.size(), offset, PCRE2_NO_UTF_CHECK,
                         state.data.get(), state.context.get());
  }
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
    rc = pcre2_match(compiled, subject, text.size(), offset, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                     state.data.get(), state.context.get());
  }
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  if (rc < 0) {
    throw RequestError("tokenizer_limit",
                       fmt::format("the text could not be split into words: PCRE2 error {} at byte "
                                   "{}",
                                   rc, offset));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state.data.get());
  match = {range[0], range[1]};
  return true;
}

}  // namespace prefold
