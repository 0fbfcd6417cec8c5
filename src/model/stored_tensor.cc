#include "model/stored_tensor.h"

namespace prefold {

int64_t n_elements(const StoredTensor& tensor) {
  int64_t product = 1;
  for (const int64_t size : tensor.shape) product *= size;
  return product;
}

size_t packed_bytes(const StoredTensor& tensor) {
  return static_cast<size_t>(stored_bytes(traits_of(tensor.type), n_elements(tensor)));
}

}  // namespace prefold
