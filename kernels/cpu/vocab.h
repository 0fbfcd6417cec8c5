#pragma once

namespace prefold {

struct VocabKernels {};

}  // namespace prefold
