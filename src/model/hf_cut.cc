#include "model/hf_cut.h"

#include <algorithm>

#include "base/check.h"

namespace prefold {
namespace {

size_t row_bytes(const StoredTensor& tensor) {
  return tensor.n_bytes / static_cast<size_t>(std::max<int64_t>(tensor.shape[0], 1));
}

}  // namespace

StoredTensor cut_rows(StoredTensor tensor, int64_t first, int64_t n) {
  const size_t bytes = row_bytes(tensor);
  tensor.offset += static_cast<size_t>(first) * bytes;
  tensor.n_bytes = static_cast<size_t>(n) * bytes;
  tensor.shape[0] = n;
  return tensor;
}

StoredTensor cut_columns(StoredTensor tensor, int64_t first, int64_t n) {
  const int64_t n_in = tensor.shape[0], stride = tensor.shape[1];
  const auto size = static_cast<size_t>(traits_of(tensor.type).block_bytes);
  tensor.transform = TensorTransform::kTransposed;
  tensor.stride_rows = stride;
  tensor.offset += static_cast<size_t>(first) * size;
  tensor.n_bytes = static_cast<size_t>((n_in - 1) * stride + n) * size;
  tensor.shape = {n, n_in};
  return tensor;
}

StoredTensor cut_runs(StoredTensor tensor, int64_t first, int64_t n_runs, int64_t run_rows,
                      int64_t stride_rows) {
  const size_t bytes = row_bytes(tensor);
  tensor.transform = TensorTransform::kRowRuns;
  tensor.run_rows = run_rows;
  tensor.stride_rows = stride_rows;
  tensor.offset += static_cast<size_t>(first) * bytes;
  tensor.n_bytes = static_cast<size_t>((n_runs - 1) * stride_rows + run_rows) * bytes;
  tensor.shape[0] = n_runs * run_rows;
  return tensor;
}

StoredTensor stack_vectors(std::span<const StoredTensor> vectors) {
  CHECK(!vectors.empty());
  StoredTensor stacked = vectors.front();
  std::vector<StoredPlace> places;
  for (const StoredTensor& vector : vectors) {
    CHECK(vector.shape == stacked.shape && vector.type == stacked.type);
    places.push_back({vector.file, vector.offset, vector.n_bytes});
  }
  stacked.shape.insert(stacked.shape.begin(), static_cast<int64_t>(vectors.size()));
  stacked.transform = TensorTransform::kStacked;
  stacked.places = std::make_shared<const std::vector<StoredPlace>>(std::move(places));
  return stacked;
}

}  // namespace prefold
