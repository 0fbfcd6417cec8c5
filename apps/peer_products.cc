#include "apps/peer_products.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#ifdef PREFOLD_HAS_OPENBLAS
#include <cblas.h>
extern "C" void openblas_set_num_threads(int n_threads);
#endif
#ifdef PREFOLD_HAS_ONEDNN
#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>
#endif

namespace prefold {
namespace {

// Every library gets so many matrices of so many bytes.
[[maybe_unused]] size_t copies_of(int64_t matrix_bytes, int64_t cold_bytes) {
  return static_cast<size_t>((cold_bytes + matrix_bytes - 1) / matrix_bytes);
}

#ifdef PREFOLD_HAS_OPENBLAS
PeerProduct openblas_product(int32_t n_threads, int32_t n_rows, int32_t n_in, int32_t n_out,
                             int64_t cold_bytes) {
  struct Buffers {
    std::vector<float> x, out;
    std::vector<std::vector<float>> weights;
    size_t next = 0;
  };
  const int64_t n_weights = int64_t{n_in} * n_out;
  auto buffers = std::make_shared<Buffers>();
  buffers->x.assign(static_cast<size_t>(n_rows) * n_in, 0.5f);
  buffers->out.resize(static_cast<size_t>(n_rows) * n_out);
  buffers->weights.assign(copies_of(n_weights * 4, cold_bytes),
                          std::vector<float>(static_cast<size_t>(n_weights), 0.25f));
  return {"OpenBLAS", [=] {
            Buffers& b = *buffers;
            const std::vector<float>& w = b.weights[b.next++ % b.weights.size()];
            openblas_set_num_threads(n_threads);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_rows, n_out, n_in, 1.0f,
                        b.x.data(), n_in, w.data(), n_in, 0.0f, b.out.data(), n_out);
          }};
}
#endif

#ifdef PREFOLD_HAS_ONEDNN
PeerProduct onednn_product(Precision precision, int32_t n_threads, int32_t n_rows, int32_t n_in,
                           int32_t n_out, int64_t cold_bytes) {
  using dnnl::memory;
  using Tag = memory::format_tag;
  omp_set_num_threads(n_threads);
  const auto input_type =
      precision == Precision::kFast ? memory::data_type::s8 : memory::data_type::f32;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const memory::desc x_desc({n_rows, n_in}, input_type, Tag::ab);
  const memory::desc any_weights({n_in, n_out}, input_type, Tag::any);
  const memory::desc out_desc({n_rows, n_out}, memory::data_type::f32, Tag::ab);
  const dnnl::matmul::primitive_desc desc({x_desc, any_weights, out_desc}, engine);
  struct Product {
    dnnl::stream stream;
    dnnl::matmul matmul;
    memory x, out;
    std::vector<memory> weights;
    size_t next = 0;
  };
  auto product = std::make_shared<Product>(Product{dnnl::stream(engine),
                                                   dnnl::matmul(desc),
                                                   memory(x_desc, engine),
                                                   memory(out_desc, engine),
                                                   {}});
  memory plain({{n_in, n_out}, input_type, Tag::ab}, engine);
  const auto fill = [](const memory& to) {
    std::byte* const bytes = static_cast<std::byte*>(to.get_data_handle());
    std::fill_n(bytes, to.get_desc().get_size(), std::byte{0x3c});  // small and ordinary
  };
  fill(product->x);
  fill(plain);
  const auto matrix_bytes = static_cast<int64_t>(desc.weights_desc().get_size());
  for (size_t copy = 0; copy < copies_of(matrix_bytes, cold_bytes); ++copy) {
    memory weights(desc.weights_desc(), engine);
    dnnl::reorder(plain, weights).execute(product->stream, plain, weights);
    product->weights.push_back(std::move(weights));
  }
  product->stream.wait();
  return {"oneDNN", [=] {
            Product& p = *product;
            omp_set_num_threads(n_threads);
            p.matmul.execute(p.stream, {{DNNL_ARG_SRC, p.x},
                                        {DNNL_ARG_WEIGHTS, p.weights[p.next++ % p.weights.size()]},
                                        {DNNL_ARG_DST, p.out}});
            p.stream.wait();
          }};
}
#endif

}  // namespace

std::vector<PeerProduct> peer_products([[maybe_unused]] Precision precision,
                                       [[maybe_unused]] int32_t n_threads,
                                       [[maybe_unused]] int32_t n_rows,
                                       [[maybe_unused]] int32_t n_in,
                                       [[maybe_unused]] int32_t n_out,
                                       [[maybe_unused]] int64_t cold_bytes) {
  std::vector<PeerProduct> products;
#ifdef PREFOLD_HAS_OPENBLAS
  if (precision == Precision::kExact) {
    products.push_back(openblas_product(n_threads, n_rows, n_in, n_out, cold_bytes));
  }
#endif
#ifdef PREFOLD_HAS_ONEDNN
  products.push_back(onednn_product(precision, n_threads, n_rows, n_in, n_out, cold_bytes));
#endif
  return products;
}

}  // namespace prefold
