#pragma once

namespace prefold {

struct AttentionKernels {};

}  // namespace prefold
