// The order in which a matrix takes its inputs: column i of the weights meets x[order[i]]. Null:
// column i meets x[i]. Matrices of a model that take them in the same order share one vector, so
// that pointers tell.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace prefold {

using InputOrder = std::shared_ptr<const std::vector<int32_t>>;

}  // namespace prefold
