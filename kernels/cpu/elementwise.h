#pragma once

namespace prefold {

struct ElementwiseKernels {};

}  // namespace prefold
