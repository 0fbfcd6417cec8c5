// Matrix products by other libraries, to set beside ours: OpenBLAS and oneDNN, as far as the build
// found them. They get plain weights (f32, or s8 as the integer formats hold them), laid out as
// they like best beforehand, which takes none of the measured time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ops/device.h"

namespace prefold {

struct PeerProduct {
  std::string library;
  std::function<void()> run;  // one product; its buffers live as long as the function
};

// Of n_rows x n_in inputs with n_in x n_out weights, on n_threads threads. kExact: f32 by f32;
// kFast: s8 by s8 with f32 results and one scale for all, where the library has that. Each run
// takes other weights until cold_bytes of them have been read.
std::vector<PeerProduct> peer_products(Precision precision, int32_t n_threads, int32_t n_rows,
                                       int32_t n_in, int32_t n_out, int64_t cold_bytes);

}  // namespace prefold
