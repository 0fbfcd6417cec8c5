// What adapters add to the products of a step.
#include "base/check.h"
#include "cuda/cuda_ops.h"
#include "cuda/error.h"
#include "kernels/cuda/lora.h"

namespace prefold::cuda {

void CudaLayers::add_lora(int32_t layer_idx, const CudaRows& x,
                          std::initializer_list<Adapted> adapted) {
  const LoraTables& lora = has_kept_ ? tables_.kept.lora : tables_.lora;
  if (lora.max_tiles == 0) return;
  const CudaAdapters& adapters = context_.weights.adapters;
  LoraArgs args;
  args.type = x.type;
  args.x = x.data;
  args.x_stride = x.stride;
  args.n_in = x.n_cols;
  args.shrunk = context_.workspace.lora_shrunk;
  args.max_rank = adapters.max_rank;
  args.tiles = lora.tiles;
  args.n_tiles = lora.n_tiles;
  args.max_tiles = lora.max_tiles;
  for (const Adapted& it : adapted) {
    if (!adapters.changes(layer_idx, it.site)) continue;
    CHECK(args.n_parts < kMaxLoraDeviceParts);
    args.out_type = it.out.type;
    args.parts[args.n_parts++] = {adapters.at(layer_idx, it.site), it.out.data, it.out.stride,
                                  it.out.n_cols};
  }
  if (args.n_parts == 0) return;
  check_launch("lora_shrink", launch_lora_shrink(args, context_.stream));
  check_launch("lora_expand", launch_lora_expand(args, context_.stream));
}

}  // namespace prefold::cuda
