// Bounds on what a template may cost. Real templates stay orders of magnitude below them.
#pragma once

#include <cstdint>

namespace prefold::jinja {

constexpr int64_t kMaxOutputBytes = int64_t{32} << 20;
constexpr int64_t kMaxHeapBytes = int64_t{256} << 20;  // strings, lists and dicts alive at once
constexpr int64_t kMaxStringBytes = kMaxOutputBytes;
constexpr int64_t kMaxSteps = 50'000'000;    // expressions, statements, and 32 bytes of text each
constexpr int64_t kMaxRangeItems = 100'000;  // the sandbox's own MAX_RANGE
constexpr int32_t kMaxValueDepth = 200;      // lists in lists in ...
constexpr int64_t kMaxValueWeight = 100'000'000;  // Value::weight
constexpr int32_t kMaxParseDepth = 300;           // brackets and blocks open at once
constexpr int32_t kMaxTreeDepth = 400;            // nodes of the syntax tree on one path
constexpr int32_t kMaxEvalDepth = 2000;           // expressions and statements running at once
constexpr int32_t kMaxMacroDepth = 200;
constexpr int64_t kMaxSourceBytes = int64_t{1} << 20;
constexpr int64_t kMaxResolveWork = 20'000'000;  // names looked at while variables are resolved
constexpr int64_t kMaxFormatWidth = 100'000;

}  // namespace prefold::jinja
