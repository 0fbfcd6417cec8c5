// CHECK(condition) guards what only a bug of ours can break: it prints the condition and its place
// and aborts, in every build. What a user can cause is an Error (error.h), never a CHECK.
#pragma once

namespace prefold {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace prefold

#define CHECK(condition)                                       \
  do {                                                         \
    if (!(condition)) [[unlikely]]                             \
      ::prefold::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
