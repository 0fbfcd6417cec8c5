#pragma once

namespace prefold {

struct GemmKernels {};

}  // namespace prefold
