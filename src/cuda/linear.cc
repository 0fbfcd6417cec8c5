#include "cuda/linear.h"

#include "base/check.h"
#include "cuda/cublas_linear.h"
#include "cuda/error.h"
#include "kernels/cuda/gemm_exact.h"

namespace prefold::cuda {
namespace {

struct TileSize {
  GemmTile tile;
  int32_t n_rows, n_outputs;
};
constexpr TileSize kTiles[] = {
    // largest first
    {GemmTile::k128x128, 128, 128}, {GemmTile::k64x64, 64, 64}, {GemmTile::k32x64, 32, 64},
    {GemmTile::k16x64, 16, 64},     {GemmTile::k16x32, 16, 32}, {GemmTile::k8x64, 8, 64},
    {GemmTile::k8x32, 8, 32},
};

int64_t pieces(int32_t whole, int32_t piece) { return (whole + piece - 1) / piece; }

}  // namespace

int32_t CublasRows::of(WeightFormat format) const {
  switch (format) {
    case WeightFormat::kDense:
      return dense;
    case WeightFormat::kW8:
      return w8;
    case WeightFormat::kW4:
      return w4;
  }
  CHECK(false);
}

GemmTile choose_tile(int32_t n_rows, int32_t n_out, int32_t n_sms) {
  GemmTile chosen = GemmTile::k8x32;
  for (const TileSize& size : kTiles) {
    // Half of it must be used; the other half of an 8-row tile is never there.
    if (size.n_rows == 8 ? n_rows > 8 : n_rows <= size.n_rows / 2) continue;
    chosen = size.tile;
    if (pieces(n_rows, size.n_rows) * pieces(n_out, size.n_outputs) >= n_sms) break;
  }
  return chosen;
}

void linear(const LinearContext& context, const DeviceRows& x, const DeviceLinear& linear,
            const LinearOut& out) {
  if (x.n_rows == 0) return;
  const DeviceMatrix& weight = linear.weight;
  CHECK(weight.format != WeightFormat::kDense || weight.type == x.type);
  if (x.type == FloatType::kF32) {
    const GemmExactArgs args{.x = static_cast<const float*>(x.data),
                             .x_stride = x.stride,
                             .n_rows = x.n_rows,
                             .linear = linear,
                             .add_to_out = out.output == GemmOutput::kAddF32,
                             .add_scale = out.add_scale,
                             .out = static_cast<float*>(out.data),
                             .out_stride = out.stride};
    check_launch("gemm_exact", launch_gemm_exact(args, context.stream));
    return;
  }
  const GemmArgs args{.type = x.type,
                      .tile = choose_tile(x.n_rows, weight.n_out, context.n_sms),
                      .output = out.output,
                      .x = x.data,
                      .x_stride = x.stride,
                      .n_rows = x.n_rows,
                      .linear = linear,
                      .out = out.data,
                      .out_stride = out.stride,
                      .add_scale = out.add_scale};
  if (!context.deterministic && x.n_rows >= context.cublas_rows.of(weight.format)) {
    cublas_linear(context.cublas, args, context.scratch);
  } else {
    check_launch("gemm", launch_gemm(args, context.stream));
  }
}

}  // namespace prefold::cuda
