#include "model/stored_tensor.h"

namespace prefold {

int64_t n_elements(const StoredTensor& tensor) {
  int64_t product = 1;
  for (const int64_t size : tensor.shape) product *= size;
  return product;
}

}  // namespace prefold
