#include <fmt/format.h>

#include "apps/cuda_cases.h"
#include "kernels/cuda/expert_gemm.h"
#include "kernels/cuda/expert_routes.h"
#include "kernels/cuda/expert_sum.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kExpertHidden = 2048, kExpertFfn = 768, kExperts = 32, kUsed = 8;

CaseWork route_case(CaseMemory& memory) {
  constexpr int32_t kRows = 256;
  RouteExpertsArgs args;
  args.logits = memory.logits(size_t{kRows} * kExperts);
  args.stride = kExperts;
  args.n_rows = kRows;
  args.n_experts = kExperts;
  args.n_used = kUsed;
  args.normalise = true;
  args.experts = memory.unwritten<int32_t>(size_t{kRows} * kUsed);
  args.weights = memory.unwritten<float>(size_t{kRows} * kUsed);
  return {.bytes = kRows * (4.0 * kExperts + 8.0 * kUsed), .launch = [args](cudaStream_t stream) {
            check_launch("route_experts", launch_route_experts(args, stream));
          }};
}

// Every expert has as many rows.
GroupRowsArgs make_groups(CaseMemory& memory, int32_t n_rows, int32_t tile_rows) {
  const size_t n_entries = size_t(n_rows) * kUsed;
  std::vector<int32_t> experts(n_entries);
  for (size_t i = 0; i < n_entries; ++i) {
    const size_t row = i / kUsed, first = row * kUsed % kExperts;
    experts[i] = static_cast<int32_t>(first + i % kUsed);
  }
  GroupRowsArgs args;
  args.experts = memory.upload(experts);
  args.n_rows = n_rows;
  args.n_used = kUsed;
  args.n_experts = kExperts;
  args.tile_rows = tile_rows;
  args.counts = memory.unwritten<int32_t>(kExperts);
  args.entries = memory.unwritten<int32_t>(n_entries);
  args.rows = memory.unwritten<int32_t>(n_entries);
  args.tiles = memory.unwritten<ExpertTile>(most_expert_tiles(n_rows, kUsed, kExperts, tile_rows));
  args.n_tiles = memory.unwritten<int32_t>(1);
  return args;
}

CaseWork group_case(CaseMemory& memory) {
  constexpr int32_t kRows = 256;
  const GroupRowsArgs args = make_groups(memory, kRows, 64);
  return {.bytes = 12.0 * kRows * kUsed, .launch = [args](cudaStream_t stream) {
            check_launch("group_rows", launch_group_rows(args, stream));
          }};
}

CaseWork gate_up_case(CaseMemory& memory, GemmTile tile, int32_t n_rows) {
  constexpr int32_t kOut = 2 * kExpertFfn;
  constexpr size_t kWeights = size_t{kExpertHidden} * kOut;
  constexpr size_t kScaleBytes = kWeights / kWeightGroup * scale_bytes(WeightFormat::kW4);
  const GroupRowsArgs groups = make_groups(memory, n_rows, expert_tile_rows(tile));
  check_launch("group_rows", launch_group_rows(groups, nullptr));
  // Quants and scales of an expert lie as far from the next one's.
  constexpr size_t kBytes = kWeights / 2 + kScaleBytes;
  ExpertGemmArgs args;
  args.tile = tile;
  args.x = memory.halves(size_t(n_rows) * kExpertHidden);
  args.x_stride = kExpertHidden;
  args.x_rows = groups.rows;
  args.experts.first.format = WeightFormat::kW4;
  args.experts.first.n_in = kExpertHidden;
  args.experts.first.n_out = kOut;
  const auto* weights = reinterpret_cast<const char*>(memory.halves(kExperts * kBytes / 2));
  args.experts.first.values = weights;
  args.experts.first.scales = weights + kWeights / 2;
  args.experts.n_bytes = kBytes;
  args.out = memory.unwritten<uint16_t>(size_t(n_rows) * kUsed * kOut);
  args.out_stride = kOut;
  args.out_rows = groups.entries;
  args.tiles = groups.tiles;
  args.n_tiles = groups.n_tiles;
  args.max_tiles = most_expert_tiles(n_rows, kUsed, kExperts, expert_tile_rows(tile));
  return {.bytes = 1.0 * kExperts * kBytes + 2.0 * n_rows * (kExpertHidden + kUsed * kOut),
          .flops = 2.0 * n_rows * kUsed * kWeights,
          .launch = [args](cudaStream_t stream) {
            check_launch("expert_gemm", launch_expert_gemm(args, stream));
          }};
}

CaseWork sum_case(CaseMemory& memory) {
  constexpr int32_t kRows = 256;
  ExpertSumArgs args;
  args.expert_out = memory.halves(size_t{kRows} * kUsed * kExpertHidden);
  args.expert_stride = args.out_stride = kExpertHidden;
  args.weights = memory.floats(size_t{kRows} * kUsed);
  args.out = memory.unwritten<float>(size_t{kRows} * kExpertHidden);
  args.n_rows = kRows;
  args.n_used = kUsed;
  args.n_cols = kExpertHidden;
  return {.bytes = kRows * kExpertHidden * (2.0 * kUsed + 4.0),
          .launch = [args](cudaStream_t stream) {
            check_launch("expert_sum", launch_expert_sum(args, stream));
          }};
}

}  // namespace

std::vector<CudaCase> expert_cases() {
  std::vector<CudaCase> cases{{"experts.route", route_case}, {"experts.group", group_case}};
  for (const auto& [tile, n_rows] :
       {std::pair{GemmTile::k16x64, 64}, std::pair{GemmTile::k64x64, 256}}) {
    cases.push_back({fmt::format("experts.gate_up.{}", n_rows),
                     [tile = tile, n_rows = n_rows](CaseMemory& memory) {
                       return gate_up_case(memory, tile, n_rows);
                     }});
  }
  cases.push_back({"experts.sum", sum_case});
  return cases;
}

}  // namespace prefold::cuda
