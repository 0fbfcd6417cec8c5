// The version of everything that decides what a request is answered. Results that one version has
// begun are not continued by another (run/journal.h).
#pragma once

#include <cstdint>

namespace prefold {

// Raise it with every change after which some request may get another answer or another result
// line from the same model with the same options: another order of floating-point operations,
// rounding, polynomial or quantisation of activations; sampling and its keys; tokenizers, chat
// templates and the making of text; what a line may ask for, and the format of results. Not for
// what leaves every line as it was: speed, schedules, memory, messages on standard error.
inline constexpr int32_t kNumericsVersion = 1;

}  // namespace prefold
