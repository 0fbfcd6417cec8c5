#include "kernels/cpu/gemm.h"

#include <doctest/doctest.h>

#include <string>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/panel.h"
#include "kernels/reference/dequantize.h"
#include "random_weights.h"

namespace prefold {
namespace {

TEST_CASE("a packed panel takes at most 5 % more than the stored rows") {
  for (const TensorType type : kAllTensorTypes) {
    CAPTURE(traits_of(type).name);
    const int64_t stored = stored_bytes(traits_of(type), 1024) * kPanelCols;
    CHECK(static_cast<double>(panel_bytes(type, 1024)) <= 1.05 * static_cast<double>(stored));
  }
}

TEST_CASE("expanding a panel gives each weight's one f32 value, on every instruction set") {
  std::mt19937 rng(7);
  for (const TensorType type : kAllTensorTypes) {
    const bool any_k = traits_of(type).block_elements == 1;
    const int32_t n_in = any_k ? 101 : 512;
    for (const int32_t n_cols : {16, 5}) {
      const std::vector<std::byte> stored = random_stored(type, int64_t{n_in} * n_cols, rng);
      std::vector<float> wanted(static_cast<size_t>(n_in) * n_cols);
      reference::dequantize(type, stored, wanted);
      std::vector<std::byte> panel(panel_bytes(type, n_in));
      pack_panel(type, stored.data(), static_cast<size_t>(stored_bytes(traits_of(type), n_in)),
                 n_cols, n_in, panel.data());
      for (const CpuKernels* kernels : available_cpu_kernels()) {
        CAPTURE(traits_of(type).name);
        CAPTURE(kernels->isa);
        const int32_t begin = 32;
        std::vector<float> expanded(static_cast<size_t>(n_in - begin) * kPanelCols, -1.0f);
        kernels->gemm->expand(type, panel.data(), begin, n_in, expanded.data());
        int64_t n_wrong = 0;
        for (int32_t k = begin; k < n_in; ++k) {
          for (int32_t col = 0; col < kPanelCols; ++col) {
            const float value = expanded[static_cast<size_t>((k - begin) * kPanelCols + col)];
            const float want = col < n_cols ? wanted[static_cast<size_t>(col * n_in + k)] : 0.0f;
            n_wrong += value != want;
          }
        }
        CHECK(n_wrong == 0);
      }
    }
  }
}

}  // namespace
}  // namespace prefold
