#include "ops/packed_matrix.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/check.h"
#include "kernels/cpu/panel.h"

namespace prefold {

void PackedMatrix::Free::operator()(std::byte* p) const { std::free(p); }

PackedMatrix::PackedMatrix(TensorType type, std::span<const std::byte> rows, int32_t n_out,
                           int32_t n_in, ThreadPool& pool)
    : type_(type), n_out_(n_out), n_in_(n_in) {
  const TensorTypeTraits& traits = traits_of(type);
  CHECK(n_out >= 0 && n_in >= 0 && n_in % traits.block_elements == 0);
  const size_t row_bytes = static_cast<size_t>(stored_bytes(traits, n_in));
  CHECK(rows.size() == row_bytes * static_cast<size_t>(n_out));
  const int64_t n_panels = (int64_t{n_out} + kPanelCols - 1) / kPanelCols;
  const size_t bytes = panel_bytes(type, n_in);
  n_bytes_ = bytes * static_cast<size_t>(n_panels);
  if (n_bytes_ == 0) return;
  constexpr size_t kAlignment = 64;
  const size_t rounded = (n_bytes_ + kAlignment - 1) / kAlignment * kAlignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded)));
  if (data_ == nullptr) throw std::bad_alloc();
  pool.parallel_for(n_panels, [&](int64_t panel, int32_t) {
    const int64_t first = panel * kPanelCols;
    pack_panel(type, rows.data() + static_cast<size_t>(first) * row_bytes, row_bytes,
               static_cast<int32_t>(std::min<int64_t>(kPanelCols, n_out - first)), n_in,
               data_.get() + static_cast<size_t>(panel) * bytes);
  });
}

}  // namespace prefold
