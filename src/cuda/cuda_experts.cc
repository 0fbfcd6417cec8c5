// Layers of experts: what the router takes, the rows grouped by expert, their products, the sum.
#include "cuda/cuda_ops.h"
#include "cuda/error.h"
#include "kernels/cuda/expert_gemm.h"
#include "kernels/cuda/expert_routes.h"
#include "kernels/cuda/expert_sum.h"

namespace prefold::cuda {
namespace {

// A tile of which half is used if each expert has as many of the entries.
GemmTile choose_expert_tile(FloatType type, int32_t n_entries, int32_t n_experts) {
  const int32_t n_rows = n_entries / n_experts;
  if (type == FloatType::kF32) return GemmTile::k64x64;
  return n_rows > 64 ? GemmTile::k128x128 : n_rows > 16 ? GemmTile::k64x64 : GemmTile::k16x64;
}

}  // namespace

CudaRows CudaLayers::gate_up_rows(int32_t n_rows, int32_t ffn_size, int32_t first,
                                  int32_t n_cols) const {
  const FloatType type = context_.type;
  return {context_.workspace.gate_up + first * bytes_of(type), type, n_rows, n_cols,
          2 * int64_t{ffn_size}};
}

void CudaLayers::shared_expert(const CudaMoe& moe, const CudaRows& x, const CudaRows& out) {
  const int32_t ffn_size = context_.config.moe.shared_ffn_size;
  const CudaRows gate_rows = gate_up_rows(x.n_rows, ffn_size, 0, ffn_size);
  const CudaRows up_rows = gate_up_rows(x.n_rows, ffn_size, ffn_size, ffn_size);
  linear(x, {{&moe.shared_gate, gate_rows}, {&moe.shared_up, up_rows}});
  gate(gate_rows, up_rows);
  linear(gate_rows, {{&moe.shared_down, out}});
}

void CudaLayers::moe(int32_t layer_idx, const CudaRows& x, const CudaRows& out) {
  const MoeConfig& config = context_.config.moe;
  const CudaMoe& moe = layer_weights(layer_idx).moe;
  const CudaMoeBuffers& buffers = context_.workspace.moe;
  const int32_t n_entries = x.n_rows * config.n_used;
  const GemmTile tile = choose_expert_tile(x.type, n_entries, config.n_experts);

  // Never by cuBLAS: which experts a row takes should be the row's own affair.
  LinearContext own_products = context_.linear;
  own_products.deterministic = true;
  cuda::linear(own_products, {x.data, x.type, x.n_rows, x.stride}, {moe.router, nullptr},
               {buffers.router_logits, buffers.router_stride, GemmOutput::kStoreF32});
  const RouteExpertsArgs route{.logits = buffers.router_logits,
                               .stride = buffers.router_stride,
                               .n_rows = x.n_rows,
                               .n_experts = config.n_experts,
                               .n_used = config.n_used,
                               .normalise = config.normalise_weights,
                               .experts = buffers.experts,
                               .weights = buffers.weights};
  check_launch("route_experts", launch_route_experts(route, context_.stream));
  const GroupRowsArgs group{.experts = buffers.experts,
                            .n_rows = x.n_rows,
                            .n_used = config.n_used,
                            .n_experts = config.n_experts,
                            .tile_rows = expert_tile_rows(tile),
                            .counts = buffers.counts,
                            .entries = buffers.entries,
                            .rows = buffers.rows,
                            .tiles = buffers.tiles,
                            .n_tiles = buffers.n_tiles};
  check_launch("group_rows", launch_group_rows(group, context_.stream));
  if (config.shared_ffn_size > 0) shared_expert(moe, x, out);

  // `to` and what comes of it have a row for each entry.
  const auto multiply = [&](const CudaRows& from, const int32_t* from_rows,
                            const DeviceExperts& experts, const CudaRows& to) {
    if (experts.first.n_out == 0) return;
    const ExpertGemmArgs args{
        .type = from.type,
        .tile = tile,
        .x = from.data,
        .x_stride = from.stride,
        .x_rows = from_rows,
        .experts = experts,
        .out = to.data,
        .out_stride = to.stride,
        .out_rows = buffers.entries,
        .tiles = buffers.tiles,
        .n_tiles = buffers.n_tiles,
        .max_tiles =
            most_expert_tiles(x.n_rows, config.n_used, config.n_experts, expert_tile_rows(tile))};
    check_launch("expert_gemm", launch_expert_gemm(args, context_.stream));
  };
  const CudaRows gate_rows = gate_up_rows(n_entries, config.ffn_size, 0, config.ffn_size);
  const CudaRows up_rows =
      gate_up_rows(n_entries, config.ffn_size, config.ffn_size, config.ffn_size);
  const CudaRows expert_out{buffers.out, x.type, n_entries, out.n_cols, out.n_cols};
  multiply(x, buffers.rows, moe.gate, gate_rows);
  multiply(x, buffers.rows, moe.up, up_rows);
  gate(gate_rows, up_rows);
  multiply(gate_rows, buffers.entries, moe.down, expert_out);

  const ExpertSumArgs sum{
      .expert_out = expert_out.data,
      .type = expert_out.type,
      .expert_stride = expert_out.stride,
      .weights = buffers.weights,
      .has_shared = config.shared_ffn_size > 0,
      .gates = config.has_shared_gate ? buffers.router_logits + config.n_experts : nullptr,
      .gate_stride = buffers.router_stride,
      .out = static_cast<float*>(out.data),
      .out_stride = out.stride,
      .n_rows = x.n_rows,
      .n_used = config.n_used,
      .n_cols = out.n_cols};
  check_launch("expert_sum", launch_expert_sum(sum, context_.stream));
}

}  // namespace prefold::cuda
