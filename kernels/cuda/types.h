// What kernels and host code of the CUDA engine share. Plain C++: host files include it.
#pragma once

#include <cstdint>

namespace prefold::cuda {

enum class FloatType : uint8_t { kF16, kBf16, kF32 };

}  // namespace prefold::cuda
